#include "netns/gateway_rules.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace stile::netns {
namespace {

config::Gateway settings() {
  config::Gateway gateway;
  gateway.lan = {*InterfaceName::parse("eth1"), *InterfaceName::parse("MARK")};
  gateway.from = {*Cidr::parse("10.1.0.0/16"), *Cidr::parse("fd00:1::/64"), *Cidr::parse("10.3.0.0/16")};
  gateway.except = {*Cidr::parse("10.2.0.0/16")};
  return gateway;
}

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++found;
  return found;
}

std::string chain(const std::string& rules, const std::string& name) {
  const std::size_t begin = rules.find("  chain " + name + " {\n");
  if (begin == std::string::npos) return "";
  return rules.substr(begin, rules.find("  }\n", begin) - begin);
}

TEST(GatewayRules, TakeFromTheSourcesThatAreNamedAndFromNoOthers) {
  for (const bool redirect : {false, true}) {
    config::Gateway gateway = settings();
    gateway.redirect = redirect;
    const std::string rules = gateway_rules(gateway);
    for (const auto& [name, where] : {std::pair("arrive", "divert"), std::pair("pass", "refuse")}) {
      const std::string sources = chain(rules, name);
      const std::string go_on = std::string(" goto ") + where + "\n";
      EXPECT_NE(sources.find("    iifname { \"eth1\", \"MARK\" }" + go_on), std::string::npos) << sources;
      EXPECT_NE(sources.find("    ip saddr { 10.1.0.0/16, 10.3.0.0/16 }" + go_on), std::string::npos) << sources;
      EXPECT_NE(sources.find("    ip6 saddr { fd00:1::/64 }" + go_on), std::string::npos) << sources;
      EXPECT_EQ(count(sources, "goto"), 3U);
      EXPECT_NE(sources.find("policy accept;"), std::string::npos);
    }
    EXPECT_EQ(count(rules, "    ip daddr { 10.2.0.0/16 } accept\n"), 2U);
    EXPECT_EQ(count(rules, " {\n    ip saddr { 10.2.0.0/16 } accept\n"), 2U);
    EXPECT_EQ(count(rules, "ip6 daddr {"), 0U);
  }
}

TEST(GatewayRules, WhatIsNotTakenIsRefusedLast) {
  const std::string refuse = chain(gateway_rules(settings()), "refuse");
  EXPECT_TRUE(refuse.ends_with("    meta l4proto tcp reject with tcp reset\n    reject with icmpx admin-prohibited\n"));
}

TEST(GatewayRules, HoldNoPlaceThatWasNotFilled) {
  for (const bool redirect : {false, true}) {
    config::Gateway gateway;
    gateway.lan = {*InterfaceName::parse("eth1")};
    gateway.redirect = redirect;
    const std::string rules = gateway_rules(gateway);
    EXPECT_TRUE(std::ranges::none_of(rules, [](char c) { return c >= 'A' && c <= 'Z'; })) << rules;
    EXPECT_EQ(count(rules, "{"), count(rules, "}"));
    EXPECT_TRUE(rules.starts_with(no_gateway_rules()));
    EXPECT_EQ(count(rules, redirect ? "tproxy" : "redirect"), 0U);
  }
}

TEST(GatewayRules, TheScriptHoldsThemWhole) {
  const std::string script = gateway_script(settings());
  EXPECT_TRUE(script.starts_with("set -e\nnft -f - <<'END'\n" + gateway_rules(settings()) + "END\n"));
  EXPECT_EQ(count(script, "\nip -4 rule add preference 7374 fwmark 0x73746c01 lookup 7374\n"), 1U);
  EXPECT_EQ(count(script, "\nip -6 route replace local default dev lo proto static table 7374 || :\n"), 1U);
  config::Gateway redirected = settings();
  redirected.redirect = true;
  EXPECT_EQ(count(gateway_script(redirected), "\nip "), 0U);
}

}  // namespace
}  // namespace stile::netns
