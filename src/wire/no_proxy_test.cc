#include "wire/no_proxy.h"

#include <gtest/gtest.h>

namespace stile::wire {
namespace {

Target at(std::string_view host, std::uint16_t port = 80) {
  return {.host = canonical_host(host).value(), .port = port};
}

/// The entry that decides; "" for none.
std::string decides(std::string_view rules, const Target& target) {
  const NoProxy no_proxy = NoProxy::parse(rules);
  const std::string* const entry = no_proxy.entry_for(target);
  return entry == nullptr ? "" : *entry;
}

TEST(NoProxy, NothingIsReachedWithoutAProxyByDefault) {
  for (const std::string_view rules : {"", " ", ",", ",, \t,\n"}) {
    EXPECT_TRUE(NoProxy::parse(rules).empty()) << rules;
    EXPECT_EQ(decides(rules, at("localhost")), "");
    EXPECT_EQ(decides(rules, at("127.0.0.1")), "") << "curl's rules, not Go's";
  }
  EXPECT_FALSE(NoProxy().covers(at("example.org")));
}

TEST(NoProxy, AStarAloneIsEverything) {
  for (const std::string_view rules : {"*", " * ", ",*,"}) {
    EXPECT_EQ(decides(rules, at("example.org")), "*");
    EXPECT_EQ(decides(rules, at("2001:db8::1")), "*");
  }
  for (const std::string_view rules : {"*,other.example", "other.example *", "*,?", "*.org", "**", "ex*"}) {
    EXPECT_EQ(decides(rules, at("example.org")), "") << rules;
  }
  EXPECT_EQ(decides("*,other.example", at("other.example")), "other.example");
}

TEST(NoProxy, ANameIsItselfAndWhatIsBelowIt) {
  for (const std::string_view rules : {"example.org", ".example.org", "example.org.", "EXAMPLE.Org", ".example.org."}) {
    EXPECT_EQ(decides(rules, at("example.org")), rules);
    EXPECT_EQ(decides(rules, at("www.example.org")), rules);
    EXPECT_EQ(decides(rules, at("a.b.Example.ORG.")), rules);
    EXPECT_EQ(decides(rules, at("badexample.org")), "") << rules;
    EXPECT_EQ(decides(rules, at("example.org.evil.example")), "") << rules;
    EXPECT_EQ(decides(rules, at("org")), "") << rules;
  }
  EXPECT_EQ(decides("..example.org", at("example.org")), "");
  EXPECT_EQ(decides("localhost", at("127.0.0.1")), "") << "nothing is looked up";
}

TEST(NoProxy, AddressesAreComparedByValue) {
  EXPECT_EQ(decides("192.0.2.1", at("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(decides("192.0.2.1", at("192.0.2.10")), "");
  EXPECT_EQ(decides("192.0.2.1", at("::ffff:192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(decides("2001:DB8:0::1", at("2001:db8::1")), "2001:DB8:0::1");
  EXPECT_EQ(decides("[2001:db8::1]", at("2001:db8::1")), "[2001:db8::1]");
  EXPECT_EQ(decides("10.0.0.0/8", at("10.255.0.1")), "10.0.0.0/8");
  EXPECT_EQ(decides("10.1.2.3/8", at("10.255.0.1")), "10.1.2.3/8");
  EXPECT_EQ(decides("10.0.0.0/8", at("11.0.0.1")), "");
  EXPECT_EQ(decides("0.0.0.0/0", at("192.0.2.1")), "0.0.0.0/0");
  EXPECT_EQ(decides("0.0.0.0/0", at("2001:db8::1")), "");
  EXPECT_EQ(decides("2001:db8::/32", at("2001:db8:1::")), "2001:db8::/32");
  EXPECT_EQ(decides("[2001:db8::]/32", at("2001:db8:1::")), "[2001:db8::]/32");
  EXPECT_EQ(decides("0.0.0.0/0", at("example.org")), "") << "an address matches no name";
}

TEST(NoProxy, WhatIsNoEntryMatchesNothing) {
  for (const std::string_view rules :
       {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "fe80::1%eth0", "1.2.3", "[192.0.2.1", "example.org:0",
        "example.org:65536", "example.org:", ":80", "[]:80", "http://example.org", "2001:db8::1:80000"}) {
    EXPECT_TRUE(NoProxy::parse(rules).empty()) << rules;
  }
}

TEST(NoProxy, APortRestricts) {
  EXPECT_EQ(decides("example.org:8080", at("www.example.org", 8080)), "example.org:8080");
  EXPECT_EQ(decides("example.org:8080", at("www.example.org", 80)), "");
  EXPECT_EQ(decides("192.0.2.1:443", at("192.0.2.1", 443)), "192.0.2.1:443");
  EXPECT_EQ(decides("192.0.2.1:443", at("192.0.2.1", 80)), "");
  EXPECT_EQ(decides("[2001:db8::1]:443", at("2001:db8::1", 443)), "[2001:db8::1]:443");
  EXPECT_EQ(decides("[2001:db8::1]:443", at("2001:db8::1", 80)), "");
  EXPECT_EQ(decides("10.0.0.0/8:22", at("10.1.1.1", 22)), "10.0.0.0/8:22");
  EXPECT_EQ(decides("2001:db8::1:80", at("2001:db8::1:80", 443)), "2001:db8::1:80") << "an address, no port";
}

TEST(NoProxy, TheFirstEntryThatFitsDecides) {
  const std::string_view rules = "10.0.0.0/8, .corp.example\tdb.corp.example,192.0.2.7";
  EXPECT_EQ(decides(rules, at("db.corp.example")), ".corp.example");
  EXPECT_EQ(decides(rules, at("192.0.2.7")), "192.0.2.7");
  EXPECT_EQ(decides(rules, at("example.org")), "");
}

}  // namespace
}  // namespace stile::wire
