#include "base/egress.h"

#include <gtest/gtest.h>

namespace stile {
namespace {

TEST(InterfaceName, IsWhatPeopleCallInterfaces) {
  for (const char* const name : {"lo", "eth0", "enp0s31f6", "wg-exit", "eth0.100", "br_lan", "a23456789012345"}) {
    const auto parsed = InterfaceName::parse(name);
    ASSERT_TRUE(parsed) << name;
    EXPECT_EQ(parsed->text(), name);
    EXPECT_EQ(parsed->text().data()[parsed->text().size()], '\0') << name;
    EXPECT_FALSE(parsed->empty());
  }
  EXPECT_TRUE(InterfaceName().empty());
  EXPECT_EQ(InterfaceName().text(), "");
}

TEST(InterfaceName, IsNothingThatCouldBeMeantAsSomethingElse) {
  for (const char* const name : {"", ".", "..", "0", "192.0.2.300", "10", "eth0/1", "eth0:1", "fe80::1", "eth 0",
                                 "eth0,", "a234567890123456", "\xC3\xA4th0", "eth0%1", "\"eth0\""}) {
    EXPECT_FALSE(InterfaceName::parse(name)) << name;
  }
}

TEST(EgressSettings, WhatIsNotSaidIsTakenFromTheOther) {
  const EgressSettings by_eth1{.from = {}, .interface = *InterfaceName::parse("eth1"), .mark = 0};
  const EgressSettings from_address{.from = Cidr::parse("192.0.2.7"), .interface = {}, .mark = 7};
  EXPECT_FALSE(EgressSettings().is_set());
  EXPECT_TRUE(by_eth1.is_set() && by_eth1.has_place());
  EXPECT_EQ(EgressSettings().or_else(from_address), from_address);
  EXPECT_EQ(from_address.or_else(by_eth1), from_address) << "the place is one thing";
  const EgressSettings merged = by_eth1.or_else(from_address);
  EXPECT_EQ(merged.place_text(), "eth1");
  EXPECT_EQ(merged.mark, 7U);
  const EgressSettings marked{.from = {}, .interface = {}, .mark = 9};
  EXPECT_TRUE(marked.is_set() && !marked.has_place());
  EXPECT_EQ(marked.or_else(from_address).place_text(), "192.0.2.7");
  EXPECT_EQ(marked.or_else(from_address).mark, 9U);
}

TEST(EgressSettings, IsWrittenAsItIsRead) {
  const auto eth1 = *InterfaceName::parse("eth1");
  EXPECT_EQ((EgressSettings{.from = Cidr::parse("192.0.2.7"), .interface = {}}).place_text(), "192.0.2.7");
  EXPECT_EQ((EgressSettings{.from = Cidr::parse("192.0.2.7"), .interface = eth1}).place_text(), "192.0.2.7%eth1");
  EXPECT_EQ((EgressSettings{.from = Cidr::parse("2001:db8::/64"), .interface = eth1}).place_text(),
            "2001:db8::/64%eth1");
}

}  // namespace
}  // namespace stile
