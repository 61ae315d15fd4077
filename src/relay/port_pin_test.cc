// Pinning and repinning, in virtual time.
#include "relay/port_pin.h"

#include <gtest/gtest.h>

namespace stile::relay {
namespace {

using namespace std::chrono_literals;
using Standing = PortPin::Standing;

constexpr Instant start{1h};

TEST(PortPin, TheFirstPortHeardIsPinned) {
  PortPin pin(0, 30s);
  EXPECT_FALSE(pin.port().has_value());
  EXPECT_EQ(pin.judge(1000, start), Standing::may_pin);
  EXPECT_EQ(pin.judge(2000, start), Standing::may_pin);
  pin.heard(1000, start);
  EXPECT_EQ(pin.port(), 1000);
  EXPECT_EQ(pin.judge(1000, start), Standing::pinned);
  EXPECT_EQ(pin.judge(2000, start), Standing::stranger);
}

TEST(PortPin, AnotherMayFollowOnceThePinnedOneIsSilent) {
  PortPin pin(0, 30s);
  pin.heard(1000, start);
  pin.heard(1000, start + 10s);
  EXPECT_EQ(pin.judge(2000, start + 40s - 1ns), Standing::stranger);
  EXPECT_EQ(pin.judge(2000, start + 40s), Standing::may_pin);
  EXPECT_EQ(pin.judge(1000, start + 40s), Standing::pinned);
  pin.heard(2000, start + 40s);
  EXPECT_EQ(pin.judge(1000, start + 40s), Standing::stranger);
}

TEST(PortPin, ZeroMeansNever) {
  PortPin pin(0, 0s);
  pin.heard(1000, start);
  EXPECT_EQ(pin.judge(2000, start + 24h), Standing::stranger);
}

TEST(PortPin, AClaimedPortIsTheOnlyOne) {
  PortPin pin(1000, 30s);
  EXPECT_EQ(pin.judge(2000, start), Standing::stranger);
  EXPECT_EQ(pin.judge(2000, start + 24h), Standing::stranger);
  EXPECT_EQ(pin.judge(1000, start + 24h), Standing::pinned);
}

}  // namespace
}  // namespace stile::relay
