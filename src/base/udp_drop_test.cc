// Every cause of a drop and its token (protocol reference, 3.3).
#include "base/udp_drop.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace stile {
namespace {

TEST(UdpDrop, EveryOneHasItsOwnToken) {
  std::set<std::string_view> tokens;
  for (int i = 0; i < udp_drop_count; ++i) {
    const std::string_view text = token(static_cast<UdpDrop>(i));
    EXPECT_TRUE(text.starts_with("udp.")) << text;
    EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz."), std::string_view::npos) << text;
    EXPECT_TRUE(tokens.insert(text).second) << text << " names two causes";
  }
}

}  // namespace
}  // namespace stile
