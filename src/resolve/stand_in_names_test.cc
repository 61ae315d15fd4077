#include "resolve/stand_in_names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace stile::resolve {
namespace {

HostName name(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

std::string meant(StandInNames& names, const std::string& address) {
  return to_string(names.host_of(Address::parse(address).value()));
}

Duration now{};

Duration test_clock() noexcept {
  return now;
}

StandInNames::Addresses told(StandInNames& names, const HostName& asked) {
  const auto addresses = names.stand_ins_of(asked);
  EXPECT_TRUE(addresses) << asked.text();
  return addresses.value_or(StandInNames::Addresses{});
}

TEST(StandInNames, ANameKeepsItsAddresses) {
  StandInNames names;
  const auto first = told(names, name("www.example.com"));
  EXPECT_EQ(first.v4.to_string(), "198.18.1.0");
  EXPECT_EQ(first.v6.to_string(), "fd73:7469:6c65::100");
  const auto second = told(names, name("example.org"));
  EXPECT_EQ(second.v4.to_string(), "198.18.1.1");
  EXPECT_EQ(told(names, name("www.example.com")).v4, first.v4);
  EXPECT_EQ(names.size(), 2U);
  for (const Address& address : {first.v4, first.v6}) {
    EXPECT_EQ(names.name_of(address), name("www.example.com"));
    EXPECT_EQ(to_string(names.host_of(address)), "www.example.com");
  }
  for (const Address& address : {second.v4, second.v6}) EXPECT_EQ(names.name_of(address), name("example.org"));
}

TEST(StandInNames, OtherAddressesMeanThemselves) {
  StandInNames names;
  (void)told(names, name("www.example.com"));
  for (const char* const address :
       {"198.18.0.1", "198.18.0.255", "198.18.1.1", "198.19.255.255", "198.17.1.0", "198.20.1.0", "198.16.1.0",
        "192.0.2.1", "127.0.0.1", "fd73:7469:6c65::1", "fd73:7469:6c65::ff", "fd73:7469:6c65::101",
        "fd73:7469:6c65:1::100", "fd73:7469:6c66::100", "fd73:7469:6c65::ffff:ffff", "2001:db8::1", "::100"}) {
    EXPECT_EQ(meant(names, address), address);
  }
}

TEST(StandInNames, OneThatStandsForNobodyIsLost) {
  StandInNames names;
  const auto known = told(names, name("www.example.com"));
  EXPECT_FALSE(names.is_lost(known.v4) || names.is_lost(known.v6));
  for (const char* const address :
       {"198.18.1.1", "198.19.255.255", "198.18.0.1", "fd73:7469:6c65::101", "fd73:7469:6c65:ffff::1"}) {
    EXPECT_TRUE(names.is_lost(Address::parse(address).value())) << address;
  }
  for (const char* const address : {"198.17.255.255", "198.20.0.0", "192.0.2.1", "fd73:7469:6c64::100", "::1"}) {
    EXPECT_FALSE(names.is_lost(Address::parse(address).value())) << address;
  }
}

TEST(StandInNames, TheOneUsedLongestAgoGivesWay) {
  StandInNames names(3, 0, test_clock);
  const auto a = told(names, name("a.example"));
  const auto b = told(names, name("b.example"));
  const auto c = told(names, name("c.example"));
  (void)told(names, name("a.example"));  // asked for again
  EXPECT_TRUE(names.name_of(b.v6));      // connected to again
  EXPECT_FALSE(names.stand_ins_of(name("d.example"))) << "c's are believed yet";
  now += std::chrono::seconds(2 * limits::stand_in_ttl_seconds);
  const auto d = told(names, name("d.example"));
  EXPECT_EQ(d.v4, c.v4);
  EXPECT_EQ(names.name_of(c.v6), name("d.example"));
  EXPECT_EQ(names.name_of(a.v4), name("a.example"));
  EXPECT_EQ(names.name_of(b.v4), name("b.example"));
  EXPECT_EQ(names.size(), 3U);
  (void)told(names, name("a.example"));
  (void)told(names, name("b.example"));
  EXPECT_FALSE(names.stand_ins_of(name("c.example")));  // like any that was never asked for
  now += std::chrono::seconds(2 * limits::stand_in_ttl_seconds);
  EXPECT_EQ(told(names, name("c.example")).v4, d.v4);
}

TEST(StandInNames, AllHaveAddressesOfTheirOwn) {
  StandInNames names;
  std::set<Address> given;
  const Cidr v4 = Cidr::parse(stand_in_prefix_v4).value();
  const Cidr v6 = Cidr::parse(stand_in_prefix_v6).value();
  for (std::size_t i = 0; i < limits::stand_in_names_max; ++i) {
    const HostName asked = name("n" + std::to_string(i) + ".example");
    const auto addresses = told(names, asked);
    ASSERT_TRUE(v4.contains(addresses.v4) && v6.contains(addresses.v6)) << i;
    ASSERT_TRUE(given.insert(addresses.v4).second && given.insert(addresses.v6).second) << i;
    ASSERT_EQ(names.name_of(addresses.v4), asked);
    ASSERT_EQ(names.name_of(addresses.v6), asked);
  }
  EXPECT_FALSE(given.contains(own_v4()) || given.contains(own_v6()));
  EXPECT_TRUE(v4.contains(own_v4()) && v6.contains(own_v6()));
  EXPECT_FALSE(names.stand_ins_of(name("one.more")));
  EXPECT_EQ(names.size(), limits::stand_in_names_max);
}

TEST(StandInNames, BeginWhereTheyAreToldTo) {
  const HostName one = std::get<HostName>(*canonical_host("one.example"));
  const HostName two = std::get<HostName>(*canonical_host("two.example"));
  constexpr std::uint32_t places = (1U << 17U) - 256;
  for (const std::uint32_t first : {0U, 1U, 70'000U, places - 1, places, UINT32_MAX}) {
    StandInNames names(limits::stand_in_names_max, first);
    const auto a = told(names, one);
    const auto b = told(names, two);
    EXPECT_TRUE(Cidr::parse(stand_in_prefix_v4)->contains(a.v4)) << first;
    EXPECT_TRUE(Cidr::parse(stand_in_prefix_v6)->contains(b.v6)) << first;
    EXPECT_NE(a.v4, b.v4);
    for (const auto& address : {a.v4, a.v6}) EXPECT_EQ(names.name_of(address), one) << first;
    for (const auto& address : {b.v4, b.v6}) EXPECT_EQ(names.name_of(address), two) << first;
    EXPECT_NE(a.v4, own_v4());
  }
  StandInNames names(limits::stand_in_names_max, 70'000);
  EXPECT_TRUE(StandInNames().is_lost(told(names, one).v4));
}

}  // namespace
}  // namespace stile::resolve
