#include "policy/futile.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "policy/policy_test_support.h"
#include "policy/supposition.h"
#include "policy/target_list.h"

namespace stile::policy {
namespace {

using Lines = std::vector<std::string>;

const Lists& lists() {
  const auto list = [](std::string_view text) { return std::make_shared<const TargetList>(*TargetList::parse(text)); };
  static const Lists made = {{"full", list("a.example\n8.0.0.0/8\n")}, {"empty", list("# nothing\n")}};
  return made;
}

Lines futile(std::string_view rules) {
  const auto set = parse_rules(rules, lists());
  STILE_ASSERT(set.has_value());
  Lines lines;
  for (const RuleError& error : futile_rules(*set)) lines.push_back(std::to_string(error.line) + " " + error.message);
  return lines;
}

TEST(Futile, RulesThatCanNeverMatch) {
  EXPECT_EQ(futile("a: allow anyone to list:empty"), (Lines{"1 'a' can never match: its list is empty"}));
  EXPECT_EQ(futile("a: allow anyone to tcp multicast, 224.0.0.0/24"),
            (Lines{"1 'a' can never match: multicast is reached by udp only"}));
  EXPECT_EQ(futile("a: deny anyone to 0.0.0.0:80, ::"),
            (Lines{"1 'a' can never match: the unspecified address is closed beyond all rules"}));
  EXPECT_EQ(futile("a: allow anyone from multicast, 0.0.0.0 to any"),
            (Lines{"1 'a' can never match: no client comes from there"}));
  EXPECT_EQ(futile("allow anyone to udp multicast\ndeny anyone to multicast\nallow anyone to list:empty, list:full"),
            Lines{});
}

TEST(Futile, RulesBehindOneThatDecidesAllTheyAreAbout) {
  EXPECT_EQ(futile("a: deny anyone to any\nb: allow alice to 8.8.8.8:53"),
            (Lines{"2 'b' has no effect: 'a' stands before it and denies all that it is about"}));
  EXPECT_EQ(futile("a: allow anyone to public\nb: allow bob from private to *.example:80-90 rate 1MB/s"),
            (Lines{"2 'b' has no effect: 'a' stands before it and allows all that it is about"}));
  EXPECT_EQ(futile("a: allow anyone to any\nb: deny anyone to tcp ads.example:443"),
            (Lines{"2 'b' has no effect: 'a' stands before it and allows all that it is about"}));
  EXPECT_EQ(
      futile("a: deny anyone to *.example when mon-sun 00:00-24:00\nb: deny bob to tcp x.example when mon 08:00-09:00"),
      (Lines{"2 'b' has no effect: 'a' stands before it and denies all that it is about"}));
}

TEST(Futile, WhatAnEarlierRuleLeavesIsNotFutile) {
  for (const std::string_view rules : {
           "allow alice to any\nallow anyone to any",
           "allow anyone from 10.0.0.0/8 to any\nallow anyone from 10.0.0.0/7 to any",
           "allow anyone to any\nallow anyone to udp any",
           "allow anyone to any\nallow anyone to any:25",
           "allow anyone to any\ndeny anyone to 8.0.0.0/8",      // udp
           "allow anyone to any\ndeny anyone to tcp 8.0.0.0/8",  // port 25
           "allow anyone to any:443\nallow anyone to any:443-444",
           "allow anyone to any\nallow anyone to a.example",  // a private address of it
           "allow anyone to any\nallow anyone to 8.8.8.8",    // which may be this host's own
           "allow anyone to any\nallow anyone to 10.0.0.0/8",
           "allow anyone to *.example\nallow anyone to a.example",
           "allow anyone to 0.0.0.0/0\nallow anyone to 10.0.0.0/8",
           "deny anyone to any:80\ndeny anyone to any",
           "deny anyone to any:0-65535\ndeny anyone to ping any",
           "deny anyone to any when mon-fri 00:00-24:00\ndeny anyone to any when fri-sat 00:00-24:00",
           "allow anyone to any\ndeny anyone to tcp 8.0.0.0/8:80\nallow anyone to reserved",  // 6to4 around it
           "deny alice to any\ndeny group:staff to any",
       }) {
    EXPECT_EQ(futile(rules), Lines{}) << rules;
  }
}

// ── property: without a futile rule every decision is the same ──────────────────────────────────────────────────────

class Random {
 public:
  explicit Random(unsigned seed) : random_(seed) {}

  unsigned below(std::size_t bound) { return static_cast<unsigned>(random_() % bound); }
  template <std::size_t size>
  std::string pick(const char* const (&words)[size]) {
    return words[below(size)];
  }

  std::string rule() {
    std::string text = below(2) == 0 ? "allow " : "deny ";
    text += pick({"anyone", "anyone", "anyone", "anonymous", "authenticated", "alice", "group:staff", "alice, bob"});
    text += pick({"", "", "", " from 10.0.0.0/8", " from 10.1.0.0/16", " from private", " from 2002::/16"});
    text += " to " + pick({"", "", "tcp ", "udp ", "tcp udp ", "ping resolve ", "tcp udp bind ping resolve "});
    text += target();
    while (below(3) == 0) text += ", " + target();
    text += pick({"", "", "", " when mon-fri 08:00-18:00", " when mon-sun 00:00-24:00", " when mon 09:00-10:00"});
    return text + "\n";
  }

  Query query(const std::vector<Identity>& clients, const std::vector<Target>& targets) {
    const char* const addresses[] = {"8.8.8.8",         "8.8.4.4",
                                     "9.9.9.9",         "10.0.0.1",
                                     "10.1.0.1",        "10.0.0.7",
                                     "127.0.0.1",       "169.254.169.254",
                                     "224.0.0.1",       "2606:4700::1",
                                     "fd00::1",         "64:ff9b::808:808",
                                     "2002:808:808::1", "2606:4700::5efe:808:808",
                                     "168.63.129.16",   "100.64.0.1"};
    const char* const sources[] = {"10.0.0.9", "10.1.0.9", "8.8.8.8", "2002:a00:1::1", "10.0.0.7"};
    const Target& asked = targets[below(targets.size())];
    return {.who = &clients[below(clients.size())],
            .source = address(pick(sources)),
            .command = static_cast<Command>(below(5)),
            .target = &asked,
            .candidate = asked.address() != nullptr ? *asked.address() : address(pick(addresses)),
            .at = {.day = static_cast<std::uint8_t>(below(7)), .minute = static_cast<std::uint16_t>(below(1440))}};
  }

 private:
  std::string target() {
    return pick({"any",         "any",         "public",          "private",    "8.0.0.0/8",  "8.8.8.0/24",
                 "8.8.8.8",     "10.0.0.0/8",  "10.1.0.0/16",     "0.0.0.0/0",  "a.example",  "*.example",
                 "b.a.example", "*.a.example", "reserved",        "[2000::/3]", "self",       "[2606:4700::/32]",
                 "list:full",   "multicast",   "169.254.169.254", "10.0.0.7",   "[2002::/16]"}) +
           pick({"", "", ":443", ":25", ":20-30", ":0-65535", ":443,25"});
  }

  std::mt19937 random_;
};

TEST(FutileProperty, WithoutAFutileRuleEveryDecisionIsTheSame) {
  const std::vector<Identity> clients{Identity::anonymous(), Supposition::user("alice", {"staff"}),
                                      Supposition::user("bob"), Supposition::user("carol", {"ops"})};
  std::vector<Target> targets;
  for (const char* const host :
       {"a.example", "b.a.example", "x.example", "c.test", "8.8.8.8", "10.0.0.7", "2002:808:808::1"}) {
    for (const std::uint16_t port : std::to_array<std::uint16_t>({25, 80, 443})) targets.push_back(target(host, port));
  }
  const OwnAddresses own{.local_routes = {cidr("10.0.0.7"), cidr("8.8.4.4")}, .sockets = {}};
  Random random(5);
  int checked = 0;
  for (int round = 0; round < 20000; ++round) {
    Lines rules;
    for (unsigned count = 2 + random.below(4); count > 0; --count) rules.push_back(random.rule());
    std::string text;
    for (const std::string& rule : rules) text += rule;
    const auto whole = Policy::compile(text, lists());
    const auto found = futile_rules(whole->rule_set());
    if (found.empty()) continue;
    const auto without = static_cast<std::size_t>(found[random.below(found.size())].line) - 1;
    std::string less;
    for (std::size_t i = 0; i < rules.size(); ++i) less += i == without ? "" : rules[i];
    const auto rest = Policy::compile(less, lists());
    ++checked;
    for (int i = 0; i < 300; ++i) {
      const Query query = random.query(clients, targets);
      const auto before = whole->decide(query, own).decision;
      EXPECT_EQ(before, rest->decide(query, own).decision)
          << text << "without " << rules[without] << "for " << query.target->to_string() << " at "
          << query.candidate->to_string() << " from " << query.source.to_string();
      if (before != rest->decide(query, own).decision) return;
    }
  }
  EXPECT_GT(checked, 1000);
}

}  // namespace
}  // namespace stile::policy
