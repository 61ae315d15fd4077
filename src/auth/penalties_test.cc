#include "auth/penalties.h"

#include <gtest/gtest.h>

#include <string>

namespace stile::auth {
namespace {

using namespace std::chrono_literals;

const Address source = Address::v4(192, 0, 2, 7);
const Instant start{1h};

// Security reference, 5.4.
TEST(Penalties, Figures) {
  EXPECT_EQ(penalty_for(Reason::auth_failed), 5s);
  EXPECT_EQ(penalty_for(Reason::auth_crashed), 90s);
  EXPECT_EQ(penalty_for(Reason::method_none), 1s);
  EXPECT_EQ(penalty_for(Reason::timeout_handshake), 10s);
  EXPECT_EQ(penalty_for(Reason::protocol_unknown), 10s);
  EXPECT_EQ(penalty_for(Reason::auth_version), 10s);
  for (const Reason innocent :
       {Reason::none, Reason::auth_busy, Reason::auth_unavailable, Reason::auth_penalty, Reason::eof_greeting,
        Reason::deny_policy, Reason::dial_refused, Reason::client_reset, Reason::drain}) {
    EXPECT_EQ(penalty_for(innocent), 0s) << token(innocent);
  }
}

TEST(Penalties, BeginAtTheThresholdAndEndWhenNothingIsLeft) {
  Penalties penalties;
  EXPECT_FALSE(penalties.refuses(source, start));
  penalties.add(source, 5s, start);
  penalties.add(source, 5s, start);
  EXPECT_FALSE(penalties.refuses(source, start)) << "two mistakes are nobody's end";
  penalties.add(source, 5s, start);
  EXPECT_TRUE(penalties.refuses(source, start));
  EXPECT_TRUE(penalties.refuses(source, start + 15s - 1ns));
  EXPECT_FALSE(penalties.refuses(source, start + 15s));
  penalties.add(source, 5s, start + 20s);
  EXPECT_FALSE(penalties.refuses(source, start + 20s)) << "what has worn off does not count again";
}

TEST(Penalties, WearOffAsTimePasses) {
  Penalties penalties;
  for (int i = 0; i < 100; ++i) {
    penalties.add(source, 5s, start + i * 5s);
    ASSERT_FALSE(penalties.refuses(source, start + i * 5s)) << "one mistake every five seconds adds up to nothing";
  }
}

TEST(Penalties, HaveACap) {
  Penalties penalties;
  for (int i = 0; i < 10'000; ++i) penalties.add(source, 10s, start);
  EXPECT_TRUE(penalties.refuses(source, start + 10min - 1ns));
  EXPECT_FALSE(penalties.refuses(source, start + 10min));
}

// Who rents an IPv6 prefix has as many addresses as it likes.
TEST(Penalties, CountForAnAddressOrA64) {
  Penalties penalties;
  const auto address = [](const char* text) { return *Address::parse(text); };
  for (int i = 0; i < 3; ++i) {
    penalties.add(address(("2001:db8:1:2::" + std::to_string(i + 1)).c_str()), 5s, start);
    penalties.add(address(("192.0.2." + std::to_string(i + 1)).c_str()), 5s, start);
  }
  EXPECT_TRUE(penalties.refuses(address("2001:db8:1:2:ffff::9"), start));
  EXPECT_FALSE(penalties.refuses(address("2001:db8:1:3::1"), start));
  EXPECT_FALSE(penalties.refuses(address("192.0.2.1"), start));
}

// A flood of addresses makes nobody else wait, and cannot wash away what the other family did.
TEST(Penalties, AreBoundedForEachFamilyApart) {
  Penalties penalties(100);
  const Address other = *Address::parse("2001:db8::1");
  for (int i = 0; i < 3; ++i) penalties.add(other, 5s, start);
  for (int i = 0; i < 3; ++i) penalties.add(source, 5s, start);
  for (int i = 0; i < 1000; ++i) {
    penalties.add(Address::v4(10, 0, static_cast<std::uint8_t>(i / 256), static_cast<std::uint8_t>(i % 256)), 5s,
                  start);
    ASSERT_LE(penalties.size(), 101U);
  }
  EXPECT_FALSE(penalties.refuses(source, start)) << "the oldest made room";
  EXPECT_TRUE(penalties.refuses(other, start));
}

TEST(Penalties, TheOneWhoGoesOnIsNotTheOldest) {
  Penalties penalties(2);
  for (int i = 0; i < 3; ++i) penalties.add(source, 5s, start);
  penalties.add(Address::v4(10, 0, 0, 1), 5s, start);
  penalties.add(source, 5s, start);
  penalties.add(Address::v4(10, 0, 0, 2), 5s, start);
  EXPECT_TRUE(penalties.refuses(source, start));
}

}  // namespace
}  // namespace stile::auth
