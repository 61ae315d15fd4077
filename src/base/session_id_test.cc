#include "base/session_id.h"

#include <gtest/gtest.h>

namespace stile {
namespace {

TEST(SessionId, IsReadAsItIsWritten) {
  for (const std::uint64_t session : {std::uint64_t{1}, std::uint64_t{0x0123456789abcdef}, UINT64_MAX}) {
    EXPECT_EQ(parse_session(session_text(session)), session);
  }
  EXPECT_EQ(session_text(0x0123456789abcdef), "0123456789abcdef");
  EXPECT_EQ(session_text(255), "00000000000000ff");
}

TEST(SessionId, AnythingElseIsNone) {
  for (const std::string_view text : {"", "0", "0000000000000000", "0123456789ABCDEF", "0123456789abcde",
                                      "0123456789abcdef0", "0123456789abcdeg", "-123456789abcdef"}) {
    EXPECT_EQ(parse_session(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace stile
