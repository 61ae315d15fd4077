#include "config/gateway.h"

#include <gtest/gtest.h>

#include "config/config.h"

namespace stile::config {
namespace {

constexpr std::string_view rules = "[policy]\nrules = 'all: allow anyone to any'\n";

std::string faults(const std::string& text) {
  const auto parsed = parse(text);
  std::string told;
  if (parsed) return told;
  for (const ConfigError& error : parsed.error()) told += std::to_string(error.line) + ": " + error.message + "\n";
  return told;
}

TEST(Gateway, SaysWhoseItIsAndWhoTheyAre) {
  const auto config = parse(
      "[gateway]\nlan = ['eth1', 'wlan0']\nfrom = 'fd00:1::/64'\nexcept = ['10.2.0.0/16', 'fd00:2::/64']\n"
      "users = ['10.1.2.7=alice', '10.1.2.0/24=guests']\ndivert = 'redirect'\nrules = 'apply'\n" +
      std::string(rules));
  ASSERT_TRUE(config.has_value());
  const Gateway& gateway = config->gateway;
  EXPECT_TRUE(gateway.is_on());
  ASSERT_EQ(gateway.lan.size(), 2U);
  EXPECT_EQ(gateway.lan[1].text(), "wlan0");
  EXPECT_EQ(gateway.from, std::vector{*Cidr::parse("fd00:1::/64")});
  EXPECT_EQ(gateway.except, (std::vector{*Cidr::parse("10.2.0.0/16"), *Cidr::parse("fd00:2::/64")}));
  EXPECT_EQ(gateway.users,
            (std::vector<NetworkUser>{{*Cidr::parse("10.1.2.7"), "alice"}, {*Cidr::parse("10.1.2.0/24"), "guests"}}));
  EXPECT_TRUE(gateway.redirect);
  EXPECT_TRUE(gateway.applies_rules);
  EXPECT_TRUE(config->listeners.empty());
}

TEST(Gateway, WithoutTheTableThereIsNone) {
  const auto config = parse("");
  ASSERT_TRUE(config.has_value());
  EXPECT_FALSE(config->gateway.is_on());
  EXPECT_EQ(config->listeners.size(), 2U);
}

TEST(Gateway, RefusesWhatNobodyCouldMean) {
  const auto with = [](const std::string& line) {
    return faults("[gateway]\nlan = 'eth1'\n" + line + "\n" + std::string(rules));
  };
  EXPECT_EQ(with("from = '0.0.0.0/0'"), "3: gateway.from: expected less than every address\n");
  EXPECT_EQ(with("users = '10.0.0.0/8'"),
            "3: gateway.users: expected a network and a user's name, such as \"10.1.2.0/24=alice\"\n");
  for (const std::string user : {"", "anyone", "anonymous", "authenticated", "a b", "uid:0"}) {
    EXPECT_NE(with("users = '10.0.0.0/8=" + user + "'"), "");
  }
  for (const std::string name : {"lo", "", "eth/1", "averyveryverylongname"}) {
    EXPECT_NE(faults("[gateway]\nlan = '" + name + "'\n" + std::string(rules)), "") << name;
  }
  EXPECT_EQ(faults("[gateway]\nrules = 'apply'\n" + std::string(rules)),
            "2: gateway: it says of no machine that its packets are taken (add `lan` or `from`)\n");
  EXPECT_EQ(faults("[gateway]\nlan = 'eth1'\n"),
            "2: gateway: no [policy] says where its machines may go (add one with `rules`)\n");
}

TEST(Gateway, FlagsSetItsLists) {
  Config config;
  const Origin flag{Origin::Source::flag, 0, "--lan"};
  EXPECT_TRUE(set(config, "gateway.lan", {"eth1", "eth2"}, flag).has_value());
  EXPECT_EQ(config.gateway.lan.size(), 2U);
  const auto bad = set(config, "gateway.from", {"10.0.0.0/8", "nowhere"}, flag);
  ASSERT_FALSE(bad.has_value());
  EXPECT_TRUE(bad.error().starts_with("'nowhere': expected an address or a network"));
}

}  // namespace
}  // namespace stile::config
