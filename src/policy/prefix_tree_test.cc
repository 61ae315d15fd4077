#include "policy/prefix_tree.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

using Values = std::vector<std::uint32_t>;

Values around(const PrefixTree<std::uint32_t>& tree, const Address& address) {
  Values values;
  tree.visit(address, [&](std::uint32_t value) { values.push_back(value); });
  return values;
}

TEST(PrefixTree, GivesTheNarrowestFirst) {
  PrefixTree<std::uint32_t> tree;
  std::uint32_t value = 0;
  for (const std::string_view prefix : {"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3",
                                        "10.2.0.0/16", "::/0", "2001:db8::/32", "2001:db8::1"}) {
    tree.add(cidr(prefix), value++);
  }
  tree.seal();
  EXPECT_EQ(around(tree, address("10.1.2.3")), (Values{4, 3, 2, 1, 0}));
  EXPECT_EQ(around(tree, address("10.1.2.4")), (Values{3, 2, 1, 0}));
  EXPECT_EQ(around(tree, address("10.1.3.0")), (Values{2, 1, 0}));
  EXPECT_EQ(around(tree, address("10.255.0.0")), (Values{1, 0}));
  EXPECT_EQ(around(tree, address("0.0.0.0")), (Values{0}));
  EXPECT_EQ(around(tree, address("255.255.255.255")), (Values{0}));
  EXPECT_EQ(around(tree, address("2001:db8::1")), (Values{8, 7, 6}));
  EXPECT_EQ(around(tree, address("::")), (Values{6}));
}

TEST(PrefixTree, IsEmptyWithoutPrefixes) {
  PrefixTree<std::uint32_t> tree;
  tree.seal();
  EXPECT_EQ(around(tree, address("::1")), Values{});
}

// Against a scan, with few distinct octets, so that prefixes nest and meet at their edges.
TEST(PrefixTree, EqualsAScan) {
  std::mt19937 random(1928);
  const auto any_address = [&] {
    std::array<std::uint8_t, 16> octets{};
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(random() % 3 == 0 ? 255 : random() % 2);
    return random() % 2 == 0 ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets);
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<Cidr> prefixes;
    PrefixTree<std::uint32_t> tree;
    for (auto count = random() % 60; count > 0; --count) {
      const std::string text = any_address().to_string();
      for (auto length = random() % 4 == 0 ? 128 : random() % 129; length <= 128; ++length) {
        const auto prefix = Cidr::parse(text + "/" + std::to_string(length));
        if (!prefix) continue;  // the first length that leaves no bit of the address out
        if (std::ranges::find(prefixes, *prefix) != prefixes.end()) break;
        tree.add(*prefix, static_cast<std::uint32_t>(prefixes.size()));
        prefixes.push_back(*prefix);
        break;
      }
    }
    tree.seal();
    for (int i = 0; i < 100; ++i) {
      const Address asked = any_address();
      std::set<std::uint32_t> expected;
      for (std::size_t p = 0; p < prefixes.size(); ++p) {
        if (prefixes[p].contains(asked)) expected.insert(static_cast<std::uint32_t>(p));
      }
      const Values found = around(tree, asked);
      ASSERT_EQ(std::set(found.begin(), found.end()), expected) << asked.to_string();
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t n = 1; n < found.size(); ++n)
        ASSERT_GT(prefixes[found[n - 1]].length, prefixes[found[n]].length);
    }
  }
}

}  // namespace
}  // namespace stile::policy
