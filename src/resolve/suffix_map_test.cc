#include "resolve/suffix_map.h"

#include <gtest/gtest.h>

#include "resolve/reverse_name.h"

namespace stile::resolve {
namespace {

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

TEST(SuffixMap, TheLongestSuffixWins) {
  SuffixMap<int> map;
  EXPECT_TRUE(map.add(host("example"), 1));
  EXPECT_TRUE(map.add(host("corp.example"), 2));
  EXPECT_TRUE(map.add(host("lab.corp.example"), 3));
  EXPECT_EQ(*map.find(host("www.example")), 1);
  EXPECT_EQ(*map.find(host("corp.example")), 2);
  EXPECT_EQ(*map.find(host("a.b.corp.example")), 2);
  EXPECT_EQ(*map.find(host("x.lab.corp.example")), 3);
}

TEST(SuffixMap, OnlyWholeLabelsCount) {
  SuffixMap<int> map;
  map.add(host("corp.example"), 1);
  EXPECT_EQ(map.find(host("notcorp.example")), nullptr);
  EXPECT_EQ(map.find(host("example")), nullptr);
  EXPECT_EQ(map.find(host("corp.example.org")), nullptr);
  EXPECT_EQ(map.find(host("corp")), nullptr);
}

TEST(SuffixMap, ASuffixHasOneValue) {
  SuffixMap<int> map;
  EXPECT_TRUE(map.add(host("corp.example"), 1));
  EXPECT_FALSE(map.add(host("CORP.example"), 2));
  EXPECT_EQ(*map.find(host("corp.example")), 1);
}

TEST(SuffixMap, NamesOfAddressesAreNames) {
  SuffixMap<int> map;
  map.add(host("10.in-addr.arpa"), 1);
  map.add(host("0.0.d.f.ip6.arpa"), 2);
  EXPECT_EQ(*map.find(reverse_name(Address::parse("10.1.2.3").value())), 1);
  EXPECT_EQ(map.find(reverse_name(Address::parse("110.1.2.3").value())), nullptr);
  EXPECT_EQ(map.find(reverse_name(Address::parse("1.2.3.10").value())), nullptr);
  EXPECT_EQ(*map.find(reverse_name(Address::parse("fd00::1").value())), 2);
}

}  // namespace
}  // namespace stile::resolve
