#include "resolve/address_order.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace stile::resolve {
namespace {

Address v4(int last) {
  return Address::v4(192, 0, 2, static_cast<std::uint8_t>(last));
}
Address v6(int last) {
  return Address::parse("2001:db8::" + std::to_string(last)).value();
}

TEST(AddressOrder, InterleavesFromThePreferredFamily) {
  const std::vector<Address> mixed{v4(1), v4(2), v4(3), v6(1), v6(2)};
  EXPECT_EQ(in_dial_order(mixed, Family::ipv6), (std::vector{v6(1), v4(1), v6(2), v4(2), v4(3)}));
  EXPECT_EQ(in_dial_order(mixed, Family::ipv4), (std::vector{v4(1), v6(1), v4(2), v6(2), v4(3)}));
}

TEST(AddressOrder, OneFamilyKeepsItsOrder) {
  EXPECT_EQ(in_dial_order({v4(3), v4(1), v4(2)}, Family::ipv6), (std::vector{v4(3), v4(1), v4(2)}));
  EXPECT_TRUE(in_dial_order({}, Family::ipv6).empty());
}

TEST(AddressOrder, DropsRepetitions) {
  EXPECT_EQ(in_dial_order({v4(1), v6(1), v4(1), v6(1)}, Family::ipv6), (std::vector{v6(1), v4(1)}));
}

TEST(AddressOrder, KeepsBothFamiliesWithinTheLimit) {
  std::vector<Address> many;
  for (int i = 1; i <= 40; ++i) many.push_back(v4(i));
  for (int i = 1; i <= 40; ++i) many.push_back(v6(i));
  const auto ordered = in_dial_order(many, Family::ipv6);
  ASSERT_EQ(ordered.size(), limits::candidates_max);
  EXPECT_EQ(ordered.front(), v6(1));
  EXPECT_EQ(ordered.back(), v4(8));
}

}  // namespace
}  // namespace stile::resolve
