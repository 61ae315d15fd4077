#include "resolve/hosts_file.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace stile::resolve {
namespace {

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

std::vector<std::string> found(const HostsTable& table, const std::string& name) {
  std::vector<std::string> texts;
  if (const auto* const addresses = table.find(host(name))) {
    for (const Address& address : *addresses) texts.push_back(address.to_string());
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(HostsFile, ReadsNamesAndAliases) {
  const auto table = HostsTable::parse("127.0.1.1\tbox.example box\n2001:db8::5 box.example # the same\n");
  EXPECT_EQ(found(table, "box"), (Texts{"127.0.1.1"}));
  EXPECT_EQ(found(table, "box.example"), (Texts{"127.0.1.1", "2001:db8::5"}));
  EXPECT_EQ(table.find(host("other")), nullptr);
}

TEST(HostsFile, NamesAreCanonical) {
  const auto table = HostsTable::parse("192.0.2.1 BOX.Example. \n");
  EXPECT_EQ(found(table, "box.example"), (Texts{"192.0.2.1"}));
}

TEST(HostsFile, SkipsWhatItCannotRead) {
  const auto table = HostsTable::parse(
      "# a comment\n\n   \nnot-an-address box\nfe80::1%eth0 zoned\n192.0.2.1\n127.1 short\n"
      "192.0.2.2 b\xFC\x63her 192.0.2.9 -x good\n192.0.2.3 # commented\n#192.0.2.4 off\n192.0.2.5 last");
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(found(table, "good"), (Texts{"192.0.2.2"}));
  EXPECT_EQ(found(table, "last"), (Texts{"192.0.2.5"}));
}

TEST(HostsFile, TakesCarriageReturnsAndNul) {
  const auto table = HostsTable::parse(std::string_view("192.0.2.1 one\r\n192.0.2.2 t\0wo three\r\n", 35));
  EXPECT_EQ(found(table, "one"), (Texts{"192.0.2.1"}));
  EXPECT_EQ(found(table, "three"), (Texts{"192.0.2.2"}));
  EXPECT_EQ(table.size(), 2U);
}

TEST(HostsFile, MappedAddressesAreIpv4AndRepetitionsGo) {
  const auto table = HostsTable::parse("::ffff:192.0.2.1 a\n192.0.2.1 a\n192.0.2.1 a a\n");
  EXPECT_EQ(found(table, "a"), (Texts{"192.0.2.1"}));
}

TEST(HostsFile, AnAddressHasItsFirstName) {
  const auto table = HostsTable::parse(
      "192.0.2.1 -x BOX.Example box\n192.0.2.1 other\n::ffff:192.0.2.2 mapped\n2001:db8::1 box.example\n192.0.2.3\n");
  EXPECT_EQ(*table.find(*Address::parse("192.0.2.1")), host("box.example"));
  EXPECT_EQ(*table.find(*Address::parse("192.0.2.2")), host("mapped"));
  EXPECT_EQ(*table.find(*Address::parse("2001:db8::1")), host("box.example"));
  EXPECT_EQ(table.find(*Address::parse("192.0.2.3")), nullptr);
}

TEST(HostsFile, BoundsTheAddressesOfAName) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "192.0.2." + std::to_string(i) + " many\n";
  EXPECT_EQ(HostsTable::parse(text).find(host("many"))->size(), limits::candidates_max);
}

}  // namespace
}  // namespace stile::resolve
