#include "sys/net_probe.h"

#include <gtest/gtest.h>

namespace stile::sys {
namespace {

TEST(NetProbe, LoopbackHasARoute) {
  EXPECT_TRUE(has_route(Address::v4(127, 0, 0, 1)));
}

TEST(NetProbe, AnIpv6RouteNeedsAnIpv6Address) {
  const auto loopback = Address::parse("::1");
  ASSERT_TRUE(loopback);
  EXPECT_EQ(has_route(*loopback), has_ipv6_address());
}

TEST(NetProbe, BroadcastIsRefusedByTheKernel) {
  EXPECT_FALSE(has_route(Address::v4(255, 255, 255, 255)));  // EACCES without SO_BROADCAST
}

}  // namespace
}  // namespace stile::sys
