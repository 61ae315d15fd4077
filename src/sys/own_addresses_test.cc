#include "sys/own_addresses.h"

#include <gtest/gtest.h>

namespace stile::sys {
namespace {

TEST(OwnAddresses, LeavesLoopbackOut) {
  const auto routes = own_addresses();
  ASSERT_TRUE(routes.has_value());
  for (const Cidr& route : *routes) {
    EXPECT_FALSE(route.contains(Address::v4(127, 0, 0, 1))) << route.to_string();
    EXPECT_FALSE(route.contains(*Address::parse("::1"))) << route.to_string();
  }
}

TEST(OwnAddresses, TheMonitorIsQuietWithoutChanges) {
  auto monitor = OwnAddressMonitor::create();
  ASSERT_TRUE(monitor.has_value());
  EXPECT_GE(monitor->descriptor(), 0);
  monitor->drain();
}

}  // namespace
}  // namespace stile::sys
