#include "policy/address_ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

AddressRanges sealed(const std::vector<Cidr>& prefixes) {
  AddressRanges ranges;
  for (const Cidr& prefix : prefixes) ranges.add(prefix);
  ranges.seal();
  return ranges;
}

TEST(AddressRanges, AreEmptyAtFirst) {
  const AddressRanges ranges = sealed({});
  EXPECT_TRUE(ranges.empty());
  EXPECT_FALSE(ranges.contains(address("0.0.0.0")));
  EXPECT_FALSE(ranges.contains(address("::")));
  EXPECT_EQ(ranges.octets(), 0U);
}

TEST(AddressRanges, HoldAPrefixUpToItsEdges) {
  const AddressRanges ranges =
      sealed({cidr("10.1.0.0/16"), cidr("192.0.2.1"), cidr("2001:db8::/33"), cidr("fc00::/7")});
  for (const std::string_view inside : {"10.1.0.0", "10.1.255.255", "192.0.2.1", "2001:db8::", "fd00::1",
                                        "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", "fdff:ffff:ffff:ffff:ffff::"}) {
    EXPECT_TRUE(ranges.contains(address(inside))) << inside;
  }
  for (const std::string_view outside :
       {"10.0.255.255", "10.2.0.0", "192.0.2.0", "192.0.2.2",
        "2001:db8:8000::", "fe00::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0", "255.255.255.255", "::"}) {
    EXPECT_FALSE(ranges.contains(address(outside))) << outside;
  }
}

TEST(AddressRanges, HoldEverythingOfAFamily) {
  const AddressRanges four = sealed({cidr("0.0.0.0/0")});
  EXPECT_TRUE(four.contains(address("0.0.0.0")) && four.contains(address("255.255.255.255")));
  EXPECT_FALSE(four.contains(address("::")) || four.contains(address("::a00:1")));
  const AddressRanges six = sealed({cidr("::/0")});
  EXPECT_TRUE(six.contains(address("::")) && six.contains(address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
  EXPECT_FALSE(six.contains(address("10.0.0.1")));
  EXPECT_TRUE(six.contains(address("::a00:1")));
}

TEST(AddressRanges, KeepOneOfNestedPrefixes) {
  EXPECT_EQ(sealed({cidr("10.0.0.0/24"), cidr("10.0.0.0/8"), cidr("10.0.0.0"), cidr("10.0.0.0/8")}).size(), 1U);
}

// Against a plain scan, with addresses drawn near the prefixes' edges.
TEST(AddressRanges, EqualAScan) {
  std::mt19937 random(1928);
  const auto any_address = [&] {
    std::array<std::uint8_t, 16> octets{};
    // Few distinct octets: prefixes nest and meet.
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(random() % 3 == 0 ? 255 : random() % 2);
    return random() % 2 == 0 ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets);
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<Cidr> prefixes;
    for (auto count = random() % 400; count > 0; --count) {
      const Address base = any_address();
      const auto length = static_cast<std::uint8_t>(random() % (base.is_v4() ? 33 : 129));
      std::array<std::uint8_t, 16> octets{};
      std::ranges::copy(base.octets(), octets.begin());
      for (unsigned bit = length; bit < base.octets().size() * 8; ++bit) {
        octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] & ~(0x80U >> bit % 8));
      }
      prefixes.push_back(
          {.base = base.is_v4() ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets), .length = length});
      // Short prefixes would hold everything that is asked.
      if (length < 12) prefixes.pop_back();
    }
    const AddressRanges ranges = sealed(prefixes);
    for (int i = 0; i < 400; ++i) {
      const Address asked = any_address();
      const bool expected = std::ranges::any_of(prefixes, [&](const Cidr& prefix) { return prefix.contains(asked); });
      ASSERT_EQ(ranges.contains(asked), expected) << asked.to_string();
    }
  }
}

}  // namespace
}  // namespace stile::policy
