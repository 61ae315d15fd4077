// `via` in rules: what it may name, and which names are not resolved here for it.
#include <gtest/gtest.h>

#include <string>

#include "policy/option_values.h"
#include "policy/policy.h"

namespace stile::policy {
namespace {

const Upstreams upstreams{{"exit", {.takes_names = true}}, {"old", {.takes_names = false}}};

std::string faults(const std::string& rule) {
  const auto policy = Policy::compile(rule, {}, upstreams);
  std::string text;
  if (policy) return text;
  for (const RuleError& error : policy.error()) text += std::to_string(error.column) + " " + error.message + "\n";
  return text;
}

using Decision = Verdict::Decision;

/// What is said of a name before it is resolved.
Decision of_name(const std::string& rules, std::string_view name, std::uint16_t port = 80,
                 Command command = Command::tcp) {
  const auto policy = Policy::compile(rules, {}, upstreams);
  EXPECT_TRUE(policy.has_value()) << rules;
  const Identity nobody = Identity::anonymous();
  const Target target{canonical_host(name).value(), port};
  return policy->decide({.who = &nobody, .source = Address::v4(10, 0, 0, 1), .command = command, .target = &target}, {})
      .decision;
}

TEST(Via, NamesUpstreamsInTheOrderOfTheWay) {
  const auto policy =
      Policy::compile("allow anyone to any via old > exit\nallow anyone to any via exit > old", {}, upstreams);
  ASSERT_TRUE(policy.has_value());
  EXPECT_EQ(policy->options(0).via, (std::vector<std::string>{"old", "exit"}));
  EXPECT_TRUE(policy->options(0).via_takes_names) << "the last one is asked for the target";
  EXPECT_FALSE(policy->options(1).via_takes_names);
  EXPECT_EQ(option_texts(policy->options(0)), std::vector<std::string>{"via old > exit"});
}

TEST(Via, Faults) {
  EXPECT_EQ(faults("allow anyone to any via exti"), "25 no upstream is named 'exti' (did you mean 'exit'?)\n");
  EXPECT_EQ(faults("allow anyone to any via exit >"), "31 expected the name of an upstream\n");
  EXPECT_EQ(faults("allow anyone to any via exit>old"),
            "25 a space stands on each side of '>', as in 'via one > two'\n");
  EXPECT_EQ(faults("allow anyone to any via exit > direct"),
            "32 'direct' stands alone: it leads through no upstream\n");
  EXPECT_EQ(faults("allow anyone to any via exit idle 5m > old"),
            "38 expected an option or the end of the rule, found '>'\n");
  EXPECT_EQ(faults("allow anyone to any via exit redirect a:1"),
            "42 'redirect' leads there directly: it does not go with 'via'\n");
  std::string long_way = "allow anyone to any via exit";
  for (int i = 0; i < 7; ++i) long_way += " > exit";
  EXPECT_EQ(faults(long_way), "") << "eight";
  EXPECT_EQ(faults(long_way + " > exit"), "25 a way leads through at most 8 proxies\n");
}

TEST(Via, ANameIsNotResolvedHereWhereTheUpstreamTakesNames) {
  const std::string any = "allow anyone to any via exit";
  EXPECT_EQ(of_name(any, "www.example.com"), Decision::allow);
  EXPECT_EQ(of_name(any, "hidden.onion"), Decision::allow);
  EXPECT_EQ(of_name("allow anyone to *.example.com via exit", "www.example.com"), Decision::allow);
  EXPECT_EQ(of_name("allow anyone to www.example.com:443 via exit", "www.example.com", 443), Decision::allow);
  EXPECT_EQ(of_name("allow anyone to udp any via exit", "www.example.com", 53, Command::udp), Decision::allow);
  EXPECT_EQ(of_name(any, "www.example.com", 25), Decision::deny) << "mail is not among any ports";
  EXPECT_EQ(of_name("allow anyone to *.example.com via exit", "www.example.org"), Decision::deny);
}

TEST(Via, ANameIsResolvedHereWhereItsAddressesMatter) {
  EXPECT_EQ(of_name("allow anyone to any via old", "www.example.com"), Decision::undecided);
  EXPECT_EQ(of_name("allow anyone to any via exit > old", "www.example.com"), Decision::undecided);
  EXPECT_EQ(of_name("allow anyone to public via exit", "www.example.com"), Decision::undecided);
  EXPECT_EQ(of_name("deny anyone to *.example.com\nallow anyone to any via exit", "www.example.com"), Decision::deny);
}

// Its addresses are the upstream's affair: a rule on addresses has nothing to hold against.
TEST(Via, ARuleOnAddressesDoesNotHoldForANameThatGoesOn) {
  EXPECT_EQ(of_name("deny anyone to private\nallow anyone to any via exit", "www.example.com"), Decision::allow);
}

// RFC 6761 section 6.3: whoever resolves it, it is the asking host; the upstream's own loopback is nobody's target.
TEST(Via, LocalhostIsNeverSentOn) {
  for (const std::string_view name : {"localhost", "a.localhost"}) {
    EXPECT_EQ(of_name("allow anyone to any via exit", name), Decision::undecided);
    EXPECT_EQ(of_name("allow anyone to localhost, *.localhost via exit", name), Decision::undecided);
  }
}

TEST(Via, AddressesAreDecidedAsEver) {
  const auto policy = Policy::compile("allow anyone to any via exit", {}, upstreams);
  ASSERT_TRUE(policy.has_value());
  const Identity nobody = Identity::anonymous();
  const auto decision = [&](std::string_view text) {
    const Target target{Address::parse(text).value(), 80};
    return policy->decide({.who = &nobody, .source = Address::v4(10, 0, 0, 1), .target = &target}, {}).decision;
  };
  EXPECT_EQ(decision("192.88.99.1"), Decision::deny);
  EXPECT_EQ(decision("93.184.216.34"), Decision::allow);
  EXPECT_EQ(decision("10.0.0.1"), Decision::deny);
}

}  // namespace
}  // namespace stile::policy
