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

TEST(NetProbe, AnInterfaceIsThereOrNot) {
  EXPECT_TRUE(has_interface(*InterfaceName::parse("lo")));
  EXPECT_FALSE(has_interface(*InterfaceName::parse("nosuch0")));
  EXPECT_EQ(source_towards(Address::v4(127, 0, 0, 2), *InterfaceName::parse("lo")), Address::v4(127, 0, 0, 1));
  const auto missing = source_towards(Address::v4(127, 0, 0, 2), *InterfaceName::parse("nosuch0"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  const auto marked = source_towards(Address::v4(127, 0, 0, 2), {}, 7);
  EXPECT_EQ(marked.has_value(), may_mark());
}

TEST(NetProbe, BroadcastIsRefusedByTheKernel) {
  EXPECT_FALSE(has_route(Address::v4(255, 255, 255, 255)));  // EACCES without SO_BROADCAST
}

}  // namespace
}  // namespace stile::sys
