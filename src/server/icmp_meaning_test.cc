#include "server/icmp_meaning.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace stile::server {
namespace {

using wire::PingTrouble;
using wire::TraceMark;

std::optional<IcmpMeaning> v4(std::uint8_t type, std::uint8_t code) {
  return meaning_of(engine::IcmpReport{.family = Family::ipv4, .type = type, .code = code, .offender = {}});
}
std::optional<IcmpMeaning> v6(std::uint8_t type, std::uint8_t code) {
  return meaning_of(engine::IcmpReport{.family = Family::ipv6, .type = type, .code = code, .offender = {}});
}

TEST(IcmpMeaning, TheWordsOfThePage) {
  EXPECT_EQ(v4(3, 0)->trouble, PingTrouble::net_unreachable);
  EXPECT_EQ(v4(3, 0)->mark, TraceMark::network);
  EXPECT_EQ(v4(3, 1)->trouble, PingTrouble::host_unreachable);
  EXPECT_EQ(v4(3, 1)->mark, TraceMark::host);
  EXPECT_EQ(v4(3, 2)->mark, TraceMark::protocol);
  EXPECT_EQ(v4(3, 13)->trouble, PingTrouble::admin_prohibited);
  EXPECT_EQ(v4(3, 13)->mark, TraceMark::prohibited);
  EXPECT_EQ(v4(11, 0), (IcmpMeaning{PingTrouble::ttl_expired, TraceMark::none}));
  EXPECT_EQ(v6(3, 0), (IcmpMeaning{PingTrouble::ttl_expired, TraceMark::none}));
  EXPECT_EQ(v6(1, 0)->mark, TraceMark::network);
  EXPECT_EQ(v6(1, 1)->mark, TraceMark::prohibited);
  EXPECT_EQ(v6(1, 3)->mark, TraceMark::host);
  EXPECT_EQ(v6(1, 4)->mark, TraceMark::protocol);
}

// RFC 792's and RFC 1122's codes, and RFC 4443's: what is prohibited, what is the network, and nothing else.
TEST(IcmpMeaning, EveryCodeOfAnUnreachableHasOne) {
  const std::set<int> networks{0, 6, 11};
  const std::set<int> prohibitions{9, 10, 13, 14, 15};
  for (int code = 0; code < 256; ++code) {
    const auto meaning = v4(3, static_cast<std::uint8_t>(code));
    ASSERT_TRUE(meaning) << code;
    EXPECT_EQ(meaning->trouble == PingTrouble::net_unreachable, networks.contains(code)) << code;
    EXPECT_EQ(meaning->trouble == PingTrouble::admin_prohibited, prohibitions.contains(code)) << code;
    EXPECT_NE(meaning->mark, TraceMark::none) << code;
    EXPECT_TRUE(v6(1, static_cast<std::uint8_t>(code))) << code;
  }
}

// Only a time exceeded lets a trace go on.
TEST(IcmpMeaning, NothingElseIsAHop) {
  for (int type = 0; type < 256; ++type) {
    const auto four = v4(static_cast<std::uint8_t>(type), 0);
    const auto six = v6(static_cast<std::uint8_t>(type), 0);
    EXPECT_EQ(four && four->mark == TraceMark::none, type == 11) << type;
    EXPECT_EQ(six && six->mark == TraceMark::none, type == 3) << type;
    EXPECT_EQ(four.has_value(), type == 3 || type == 11 || type == 12) << type;
    EXPECT_EQ(six.has_value(), 1 <= type && type <= 4) << type;
  }
}

TEST(IcmpMeaning, RefusalsOfThisHost) {
  EXPECT_EQ(meaning_of(Error{ErrorKind::not_permitted, EPERM})->trouble, PingTrouble::admin_prohibited);
  EXPECT_EQ(meaning_of(Error{ErrorKind::net_unreachable, ENETUNREACH})->mark, TraceMark::network);
  EXPECT_EQ(meaning_of(Error{ErrorKind::host_unreachable, EHOSTUNREACH})->mark, TraceMark::host);
  EXPECT_EQ(meaning_of(Error{ErrorKind::no_memory, ENOBUFS}), std::nullopt);
}

}  // namespace
}  // namespace stile::server
