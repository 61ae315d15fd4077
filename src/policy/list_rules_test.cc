// `list:NAME` in rules: rules.h, match.h. The lists themselves: target_list_test.cc.
#include <gtest/gtest.h>

#include <memory>

#include "policy/policy_test_support.h"
#include "policy/rules.h"
#include "policy/target_list.h"

namespace stile::policy {
namespace {

using Decision = Verdict::Decision;

std::shared_ptr<const TargetList> list(std::string_view text) {
  auto parsed = TargetList::parse(text);
  STILE_ASSERT(parsed.has_value());
  return std::make_shared<const TargetList>(std::move(*parsed));
}

const Lists& lists() {
  static const Lists made = {
      {"names", list("www.example.com\n*.example.org\n")},
      {"mixed", list("www.example.com\n198.51.0.0/16\n8.8.8.0/24\n10.0.0.0/8\n127.0.0.1\n")},
      {"empty", list("")},
  };
  return made;
}

// Of one client's question; `resolved` empty: not yet.
Decision decision(std::string_view rules, std::string_view host, std::string_view resolved = "") {
  auto policy = Policy::compile(rules, lists());
  STILE_ASSERT(policy.has_value());
  return Asker{}.tcp(*policy, host, 443, resolved).decision;
}

TEST(ListRules, ParseWithAndWithoutPorts) {
  const auto set = parse_rules("allow a to list:names, list:mixed:80,443\ndeny a to udp list:empty:53", lists());
  ASSERT_TRUE(set);
  const std::vector<TargetPattern>& targets = set->rules[0].targets;
  EXPECT_EQ(std::get<ListRef>(targets[0].host).name, "names");
  EXPECT_TRUE(targets[0].ports.empty());
  EXPECT_EQ(std::get<ListRef>(targets[1].host).list, lists().at("mixed"));
  EXPECT_EQ(targets[1].ports.size(), 2U);
}

TEST(ListRules, Faults) {
  const auto fault = [](std::string_view rules) {
    const auto set = parse_rules(rules, lists());
    return set ? "" : std::to_string(set.error()[0].column) + " " + set.error()[0].message;
  };
  EXPECT_EQ(fault("allow a to list:naems"), "12 no list is named 'naems' (did you mean 'names'?)");
  EXPECT_EQ(fault("allow a to list:"), "12 no list is named '' ([policy] lists names them)");
  EXPECT_EQ(fault("allow a to list:names:"), "22 ports are missing behind ':'");
  EXPECT_EQ(fault("allow a to any redirect list:names:80"), "25 'list:names' is a list, where one host is expected");
}

// Security reference, 1.1: a rule on a list opens only public addresses.
TEST(ListRules, AnAllowOpensPublicAddressesOnly) {
  constexpr std::string_view rules = "allow anyone to list:mixed";
  EXPECT_EQ(decision(rules, "www.example.com"), Decision::undecided);
  EXPECT_EQ(decision(rules, "www.example.com", "8.8.4.4"), Decision::allow);
  EXPECT_EQ(decision(rules, "www.example.com", "10.0.0.1"), Decision::deny);
  EXPECT_EQ(decision(rules, "www.example.com", "192.168.0.1"), Decision::deny);
  EXPECT_EQ(decision(rules, "other.example.com", "8.8.4.4"), Decision::deny);
  EXPECT_EQ(decision(rules, "other.example.com", "8.8.8.8"), Decision::allow);
  EXPECT_EQ(decision(rules, "8.8.8.8", "8.8.8.8"), Decision::allow);
  EXPECT_EQ(decision(rules, "10.0.0.1", "10.0.0.1"), Decision::deny);
  EXPECT_EQ(decision(rules, "127.0.0.1", "127.0.0.1"), Decision::deny);
  EXPECT_EQ(decision(rules, "198.51.100.1", "198.51.100.1"), Decision::deny);  // reserved for documentation
}

TEST(ListRules, ADenyMatchesWhatTheListHolds) {
  constexpr std::string_view rules = "deny anyone to list:mixed\nallow anyone to any, private";
  EXPECT_EQ(decision(rules, "www.example.com"), Decision::deny);
  EXPECT_EQ(decision(rules, "other.example.com"), Decision::undecided);
  EXPECT_EQ(decision(rules, "other.example.com", "8.8.8.8"), Decision::deny);
  EXPECT_EQ(decision(rules, "other.example.com", "2002:808:808::1"), Decision::deny);
  EXPECT_EQ(decision(rules, "other.example.com", "10.0.0.1"), Decision::deny);
  EXPECT_EQ(decision(rules, "other.example.com", "192.168.0.1"), Decision::allow);
}

// A name that no list of names holds is denied before DNS is asked (principle P8).
TEST(ListRules, AListOfNamesAloneDecidesNamesWithoutTheirAddresses) {
  EXPECT_EQ(decision("allow anyone to list:names", "other.example.com"), Decision::deny);
  EXPECT_EQ(decision("allow anyone to list:names", "www.example.org"), Decision::undecided);
  EXPECT_EQ(decision("allow anyone to list:mixed", "other.example.com"), Decision::undecided);
  EXPECT_EQ(decision("allow anyone to list:empty", "other.example.com"), Decision::deny);
  EXPECT_EQ(decision("allow anyone to list:names redirect 10.0.0.1:80", "www.example.org"), Decision::allow);
}

}  // namespace
}  // namespace stile::policy
