#include "policy/classes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <span>

#include "policy/policy.h"
#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

using enum TargetClass;

struct Row {
  const char* prefix;
  TargetClass target_class;
  TargetClass before;  // of the address before the first; ignored where there is none
  TargetClass behind;  // of the address behind the last; ignored where there is none
};

// Security reference, table 3.1, with what lies on either side.
constexpr Row rows[] = {
    {"0.0.0.0/8", reserved, reserved, public_space},
    {"10.0.0.0/8", private_space, public_space, public_space},
    {"100.64.0.0/10", cgnat, public_space, public_space},
    {"127.0.0.0/8", loopback, public_space, public_space},
    {"169.254.0.0/16", link_local, public_space, public_space},
    {"172.16.0.0/12", private_space, public_space, public_space},
    {"192.0.0.0/24", reserved, public_space, public_space},
    {"192.0.2.0/24", reserved, public_space, public_space},
    {"192.31.196.0/24", reserved, public_space, public_space},
    {"192.52.193.0/24", reserved, public_space, public_space},
    {"192.88.99.0/24", reserved, public_space, public_space},
    {"192.168.0.0/16", private_space, public_space, public_space},
    {"192.175.48.0/24", reserved, public_space, public_space},
    {"198.18.0.0/15", reserved, public_space, public_space},
    {"198.51.100.0/24", reserved, public_space, public_space},
    {"203.0.113.0/24", reserved, public_space, public_space},
    {"224.0.0.0/4", multicast, public_space, reserved},
    {"240.0.0.0/4", reserved, multicast, reserved},
    {"255.255.255.255/32", reserved, reserved, reserved},
    {"::/128", reserved, reserved, loopback},
    {"::1/128", loopback, reserved, reserved},
    {"::/96", reserved, reserved, reserved},
    {"::ffff:0:0:0/96", reserved, reserved, reserved},
    {"64:ff9b:1::/48", reserved, reserved, reserved},
    {"100::/64", reserved, reserved, reserved},
    {"100:0:0:1::/64", reserved, reserved, reserved},
    {"::/3", reserved, reserved, public_space},
    {"2001::/23", reserved, public_space, public_space},
    {"2001::/32", reserved, public_space, reserved},
    {"2001:db8::/32", reserved, public_space, public_space},
    {"2002::/16", reserved, public_space, public_space},
    {"2620:4f:8000::/48", reserved, public_space, public_space},
    {"3fff::/20", reserved, public_space, public_space},
    {"4000::/2", reserved, public_space, reserved},
    {"5f00::/16", reserved, reserved, reserved},
    {"fc00::/7", private_space, reserved, reserved},
    {"fe80::/10", link_local, reserved, private_space},
    {"fec0::/10", private_space, link_local, multicast},
    {"ff00::/8", multicast, private_space, reserved},
};

using Octets = std::array<std::uint8_t, 16>;

Address from_octets(const Octets& octets, bool v4) {
  return v4 ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets);
}

Octets octets_of(const Address& address) {
  Octets octets{};
  std::ranges::copy(address.octets(), octets.begin());
  return octets;
}

Address last_of(const Cidr& prefix) {
  Octets octets = octets_of(prefix.base);
  for (std::size_t bit = prefix.length; bit < prefix.base.octets().size() * 8; ++bit) {
    octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] | (0x80U >> bit % 8));
  }
  return from_octets(octets, prefix.base.is_v4());
}

// The neighbour `step` (+1 or -1) away; nothing beyond the ends of the family.
std::optional<Address> neighbour(const Address& of, int step) {
  Octets octets = octets_of(of);
  for (std::size_t i = of.octets().size(); i-- > 0;) {
    octets[i] = static_cast<std::uint8_t>(octets[i] + step);
    if (octets[i] != (step > 0 ? 0x00 : 0xFF)) return from_octets(octets, of.is_v4());
  }
  return std::nullopt;
}

TEST(Classes, EveryRowAtItsEdges) {
  const OwnAddresses none;
  for (const Row& row : rows) {
    SCOPED_TRACE(row.prefix);
    const Cidr prefix = cidr(row.prefix);
    // The first of ::/96 and ::/3 is ::, the row of its own.
    EXPECT_EQ(classify(prefix.base, none), row.target_class);
    EXPECT_EQ(classify(last_of(prefix), none), row.target_class);
    if (const auto before = neighbour(prefix.base, -1)) {
      EXPECT_EQ(classify(*before, none), row.before);
    }
    if (const auto behind = neighbour(last_of(prefix), +1)) {
      EXPECT_EQ(classify(*behind, none), row.behind);
    }
  }
}

TEST(Classes, EveryRowOfTheDataIsInTheTableAbove) {
  for (const ClassPrefix& row : class_prefixes()) {
    if (row.target_class == public_space) continue;
    if (row.length == 1) continue;  // 8000::/1 ends in multicast; RestOfIpv6IsReserved holds it
    const bool listed = std::ranges::any_of(rows, [&](const Row& known) {
      const Cidr prefix = cidr(known.prefix);
      return prefix.length == row.length && row.contains(prefix) && known.target_class == row.target_class;
    });
    EXPECT_TRUE(listed) << name(row.target_class) << " /" << int{row.length};
  }
}

// The row of the longest prefix, by looking at every row.
const ClassPrefix* scanned(std::span<const ClassPrefix> table, const Address& address) {
  const ClassPrefix* longest = nullptr;
  for (const ClassPrefix& row : table) {
    if (row.contains(address) && (longest == nullptr || row.length > longest->length)) longest = &row;
  }
  return longest;
}

Address address_of(Family family, std::array<std::uint8_t, 16> octets) {
  return family == Family::ipv4 ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets);
}

TEST(Classes, TheIndexFindsWhatAScanFinds) {
  std::mt19937 random(1);
  const auto judge = [](const Address& address) {
    const ClassPrefix& found = class_prefix_of(address);
    const ClassPrefix& expected = *scanned(class_prefixes(), address);
    ASSERT_EQ(found.length, expected.length) << address.to_string();
    ASSERT_EQ(found.octets, expected.octets) << address.to_string();
    ASSERT_EQ(is_metadata(address), scanned(metadata_prefixes(), address) != nullptr) << address.to_string();
  };
  for (const auto table : {class_prefixes(), metadata_prefixes()}) {
    for (const ClassPrefix& row : table) {
      judge(address_of(row.family, row.octets));
      for (int i = 0; i < 5'000; ++i) {  // near it: a few bits of it changed
        std::array<std::uint8_t, 16> octets = row.octets;
        for (int flips = 0; flips < 3; ++flips) {
          const auto bit = static_cast<unsigned>(random() % (row.family == Family::ipv4 ? 32 : 128));
          octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] ^ (1U << bit % 8));
        }
        judge(address_of(row.family, octets));
      }
    }
  }
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    for (int i = 0; i < 100'000; ++i) {
      std::array<std::uint8_t, 16> octets;
      for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(random());
      judge(address_of(family, octets));
    }
  }
}

TEST(Classes, RestOfIpv6IsReserved) {
  for (const char* text :
       {"1fff:ffff::", "4000::", "7fff::1", "8000::", "bfff:ffff::", "c000::", "fbff:ffff::1", "fe00::"}) {
    EXPECT_EQ(classify(address(text), OwnAddresses{}), reserved) << text;
  }
}

TEST(Classes, OrdinaryAddressesArePublic) {
  for (const char* text : {"1.1.1.1", "8.8.8.8", "192.0.1.1", "223.255.255.255", "2606:4700::1111", "2a00::1"}) {
    EXPECT_EQ(classify(address(text), OwnAddresses{}), public_space) << text;
  }
}

// TS1: security reference, table 3.2.
TEST(Classes, MetadataComesBeforeEverything) {
  const char* list[] = {
      "169.254.169.254",    "169.254.170.2",
      "169.254.170.23",     "169.254.169.253",
      "169.254.169.123",    "168.63.129.16",
      "192.0.0.192",        "100.100.100.200",
      "169.254.42.42",      "169.254.0.23",
      "fd00:ec2::254",      "fd00:ec2::23",
      "fd00:ec2::253",      "fd00:ec2::123",
      "fd00:ec2::",         "fd20:ce::254",
      "fd00:c1::a9fe:a9fe", "fd00:100::100:200",
      "fd00:a9fe:a9fe::1",  "fd00:42::42",
      "fe80::a9fe:a9fe",    "fd00:ec2:ffff:ffff:ffff:ffff:ffff:ffff",
  };
  OwnAddresses own;
  own.local_routes = {cidr("169.254.0.0/16"), cidr("fd00::/8")};
  for (const char* text : list) {
    EXPECT_EQ(classify(address(text), own), metadata) << text;
    EXPECT_EQ(classify(address(text), OwnAddresses{}), metadata) << text;
  }
  for (const char* text : {"169.254.169.255", "168.63.129.17", "fd00:ec1::254", "fd00:ec3::", "fd20:ce::253"}) {
    EXPECT_NE(classify(address(text), OwnAddresses{}), metadata) << text;
  }
}

// TS2.
TEST(Classes, OwnAddressesAreSelfAndLoopbackStaysLoopback) {
  OwnAddresses own;
  own.local_routes = {cidr("10.0.0.7"), cidr("203.0.113.0/24"), cidr("2606:4700::7"), cidr("127.0.0.0/8")};
  own.sockets = {*Endpoint::parse("8.8.4.4:1080"), *Endpoint::parse("127.0.0.1:1080"),
                 *Endpoint::parse("0.0.0.0:1081")};
  EXPECT_EQ(classify(address("10.0.0.7"), own), self);
  EXPECT_EQ(classify(address("10.0.0.8"), own), private_space);
  EXPECT_EQ(classify(address("203.0.113.200"), own), self);
  EXPECT_EQ(classify(address("2606:4700::7"), own), self);
  EXPECT_EQ(classify(address("8.8.4.4"), own), self) << "an advertised or listening address";
  EXPECT_EQ(classify(address("127.0.0.1"), own), loopback);
  EXPECT_EQ(classify(address("127.0.1.1"), own), loopback);
}

TEST(Classes, NamesGoBothWays) {
  for (int i = 0; i < target_class_count; ++i) {
    const auto target_class = static_cast<TargetClass>(i);
    EXPECT_EQ(target_class_named(name(target_class)), target_class);
  }
  EXPECT_EQ(target_class_named("Public"), std::nullopt);
  EXPECT_EQ(target_class_named(""), std::nullopt);
}

TEST(Classes, HardAndSoft) {
  EXPECT_TRUE(is_soft(private_space) && is_soft(cgnat));
  EXPECT_FALSE(is_hard(public_space) || is_soft(public_space));
  for (const auto hard : {loopback, link_local, multicast, metadata, reserved, self}) EXPECT_TRUE(is_hard(hard));
}

// Security reference, 3.1: only a prefix inside the row opens an inside class.
TEST(Classes, PrefixesThatOpen) {
  const auto opened = [](const char* named, const char* text) {
    const Address at = address(text);
    return cidr(named).contains(at) && opens(cidr(named), at, classify(at, OwnAddresses{}));
  };
  EXPECT_TRUE(opened("0.0.0.0/0", "8.8.8.8"));
  EXPECT_FALSE(opened("0.0.0.0/0", "10.0.0.1"));
  EXPECT_FALSE(opened("8.0.0.0/5", "10.0.0.1"));
  EXPECT_TRUE(opened("10.0.0.0/8", "10.0.0.1"));
  EXPECT_TRUE(opened("10.0.0.0/9", "10.0.0.1"));
  EXPECT_TRUE(opened("10.0.0.1/32", "10.0.0.1"));
  EXPECT_FALSE(opened("::/0", "fc00::1"));
  EXPECT_FALSE(opened("::/0", "4000::1")) << "the rest of IPv6 is three rows for this reason";
  EXPECT_TRUE(opened("4000::/2", "4000::1"));
  EXPECT_FALSE(opened("8000::/1", "fe80::1"));
  EXPECT_FALSE(opened("2000::/3", "2001:db8::1"));
  EXPECT_FALSE(opened("169.254.0.0/16", "169.254.169.254"));
  EXPECT_FALSE(opened("169.254.169.254/31", "169.254.169.254"));
  EXPECT_TRUE(opened("169.254.169.254/32", "169.254.169.254"));
  EXPECT_TRUE(opened("fd00:ec2::254/128", "fd00:ec2::254"));
  EXPECT_FALSE(opened("fd00:ec2::/32", "fd00:ec2::254"));
}

TEST(Classes, HardClassesThatAPrefixOpens) {
  EXPECT_EQ(hard_class_opened_by(cidr("127.0.0.0/8")), loopback);
  EXPECT_EQ(hard_class_opened_by(cidr("127.0.0.1")), loopback);
  EXPECT_EQ(hard_class_opened_by(cidr("126.0.0.0/7")), std::nullopt);
  EXPECT_EQ(hard_class_opened_by(cidr("10.0.0.0/8")), std::nullopt);
  EXPECT_EQ(hard_class_opened_by(cidr("168.63.129.16")), metadata);
  EXPECT_EQ(hard_class_opened_by(cidr("168.63.129.0/24")), std::nullopt);
  EXPECT_EQ(hard_class_opened_by(cidr("ff02::/16")), multicast);
  EXPECT_EQ(hard_class_opened_by(cidr("8.8.8.8")), std::nullopt);
}

}  // namespace
}  // namespace stile::policy
