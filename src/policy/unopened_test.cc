#include "policy/unopened.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "policy/policy_test_support.h"
#include "policy/target_list.h"

namespace stile::policy {
namespace {

using Names = std::vector<std::string>;

const Names all = {"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"};

const Lists& lists() {
  const auto list = [](std::string_view text) { return std::make_shared<const TargetList>(*TargetList::parse(text)); };
  static const Lists made = {{"names", list("a.example\n")}, {"networks", list("10.1.0.0/16\n")}};
  return made;
}

Names unopened(std::string_view rules) {
  const auto set = parse_rules(rules, lists());
  STILE_ASSERT(set.has_value());
  Names names;
  for (const Cidr& network : unopened_networks(*set)) names.push_back(network.to_string());
  return names;
}

TEST(Unopened, WhatNoRuleNames) {
  for (const std::string_view rules :
       {"", "allow anyone to any", "allow anyone to public", "deny anyone to private", "allow anyone to udp private",
        "allow anyone to *.example, db.example, list:names", "allow anyone to 8.0.0.0/5", "allow anyone to loopback"}) {
    EXPECT_EQ(unopened(rules), all) << rules;
  }
}

TEST(Unopened, WhatARuleOpensAPartOfIsNotNamed) {
  EXPECT_EQ(unopened("allow alice to 10.20.0.0/16:443"), Names(all.begin() + 1, all.end()));
  EXPECT_EQ(unopened("allow anyone from private to tcp ping private"), (Names{"100.64.0.0/10"}));
  EXPECT_EQ(unopened("deny anyone to any\nallow group:x to cgnat, [fd00::1]"),
            (Names{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fec0::/10"}));
  EXPECT_EQ(unopened("allow anyone to list:networks"), Names{});
  EXPECT_EQ(unopened("allow anyone to self"), Names{});
  EXPECT_EQ(unopened("allow anyone to metadata"), Names{});
}

// Whoever asks for an address in one of them is refused.
TEST(Unopened, EveryDecisionThereIsADenial) {
  const std::vector<std::string> rules = {
      "allow anyone to any",         "allow anyone to private",       "allow alice to 10.0.0.0/9",
      "allow anyone to 192.168.1.1", "allow anyone to 0.0.0.0/0",     "allow anyone to cgnat",
      "deny anyone to 10.0.0.0/8",   "allow anyone to [fd00::/8]",    "allow anyone to *.example",
      "allow anyone to udp private", "allow anyone to 172.16.0.0/12", "allow anyone to self"};
  const OwnAddresses own{.local_routes = {cidr("10.9.9.9"), cidr("fd00::9")}, .sockets = {}};
  const Identity alice = auth::Authenticator::make("alice");
  std::mt19937_64 random(5);
  int denied = 0;
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (std::size_t left = 1 + random() % 3; left > 0; --left) text += rules[random() % rules.size()] + "\n";
    const Policy policy = compiled(text);
    for (const Cidr& network : unopened_networks(policy.rule_set())) {
      std::array<std::uint8_t, 16> bits{};
      for (std::uint8_t& octet : bits) octet = static_cast<std::uint8_t>(random());
      for (const Address& candidate : {network.address_with(bits), network.base, address("10.9.9.9")}) {
        if (!network.contains(candidate)) continue;
        const Target asked{.host = candidate, .port = 443};
        const Query query{.who = &alice, .source = address("192.0.2.1"), .command = Command::tcp, .target = &asked};
        EXPECT_EQ(policy.decide(query, own).decision, Verdict::Decision::deny) << text << candidate.to_string();
        ++denied;
      }
    }
  }
  EXPECT_GT(denied, 1000);
}

}  // namespace
}  // namespace stile::policy
