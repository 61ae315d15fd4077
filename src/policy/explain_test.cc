#include "policy/explain.h"

#include <gtest/gtest.h>

#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

using Decision = Verdict::Decision;

struct Asked : Asker {
  Command command = Command::tcp;
  Target where;
  std::optional<Address> candidate;

  Asked(std::string_view host, std::uint16_t port, std::string_view resolved = "") : where(target(host, port)) {
    if (!resolved.empty()) candidate = address(resolved);
  }
  [[nodiscard]] Query query() const {
    return {.who = &who, .source = source, .command = command, .target = &where, .candidate = candidate};
  }
  [[nodiscard]] Explanation explained(std::string_view rules) const { return explain(compiled(rules), query(), own); }
  [[nodiscard]] Mismatch near_miss(std::string_view rules) const {
    const Explanation explanation = explained(rules);
    return explanation.near_misses.empty() ? Mismatch::none : explanation.near_misses.front().why;
  }
};

TEST(Explain, VerdictIsThatOfDecide) {
  const Asked asked("8.8.8.8", 443);
  const Explanation allowed = asked.explained("deny anyone to private\nweb: allow anyone to any");
  EXPECT_EQ(allowed.verdict.decision, Decision::allow);
  ASSERT_TRUE(allowed.rule);
  EXPECT_EQ(allowed.rule->name, "web");
  EXPECT_EQ(allowed.rule->line, 2);
  ASSERT_EQ(allowed.facets.size(), 1U);
  EXPECT_EQ(allowed.facets[0].target_class, TargetClass::public_space);
  EXPECT_TRUE(allowed.opening_rule.empty());
  EXPECT_FALSE(asked.explained("").rule);
}

TEST(Explain, NearMissesSayWhatWasInTheWay) {
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("allow alice to any"), Mismatch::who);
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("allow anyone from private to any"), Mismatch::source);
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("allow anyone to udp any"), Mismatch::command);
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("allow anyone to any:80"), Mismatch::port);
  EXPECT_EQ(Asked("8.8.8.8", 25).near_miss("allow anyone to any"), Mismatch::port_not_named);
  EXPECT_EQ(Asked("10.0.0.1", 443).near_miss("allow anyone to any"), Mismatch::class_closed);
  EXPECT_EQ(Asked("10.0.0.1", 443).near_miss("allow anyone to 8.0.0.0/5"), Mismatch::class_closed);
  EXPECT_EQ(Asked("db.example", 443, "127.0.0.1").near_miss("allow anyone to db.example"), Mismatch::class_closed);
  EXPECT_EQ(Asked("db.example", 443, "10.0.0.1").near_miss("allow anyone to *.example"), Mismatch::class_closed);
  EXPECT_EQ(Asked("224.0.0.1", 443).near_miss("allow anyone to multicast"), Mismatch::multicast);
  EXPECT_EQ(Asked("db.example", 443).near_miss("allow anyone to db.example:80"), Mismatch::port);
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("deny anyone to any:80\nallow anyone to any"), Mismatch::port);
}

TEST(Explain, RulesAboutOtherThingsDidNotComeClose) {
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("allow anyone to private"), Mismatch::none);
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("allow anyone to db.example"), Mismatch::none);
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("allow alice to udp any"), Mismatch::none) << "two things in the way";
  EXPECT_EQ(Asked("8.8.8.8", 443).near_miss("deny anyone to any\nallow alice to any"), Mismatch::none)
      << "rules behind the decision";
  EXPECT_EQ(Asked("0.0.0.0", 443).near_miss("allow alice to any"), Mismatch::none) << "no rule was asked";
}

TEST(Explain, UncoveredFacetIsNamed) {
  const Explanation explanation = Asked("2002:a00:1::1", 443).explained("allow anyone to any, reserved");
  ASSERT_EQ(explanation.near_misses.size(), 1U);
  EXPECT_EQ(explanation.near_misses[0].detail, "10.0.0.1 is private, which it does not open");
  ASSERT_EQ(explanation.facets.size(), 2U);
  EXPECT_EQ(explanation.facets[1].form, FacetForm::six_to_four);
}

TEST(Explain, Text) {
  Asked asked("db.example", 5432, "10.1.2.3");
  asked.who = auth::Authenticator::make("alice", {"staff"});
  const std::string rules = "web: allow group:staff to public:5432, any:5432\n\nold: allow bob to db.example:5432";
  EXPECT_EQ(to_text(asked.explained(rules), asked.query()),
            "denied: no rule allows it\n"
            "  asked   tcp db.example:5432 by 'alice' of 'staff' from 198.51.100.9 on mon 00:00\n"
            "  address 10.1.2.3 (private)\n"
            "  came close:\n"
            "    web (line 1): web: allow group:staff to public:5432, any:5432\n"
            "      10.1.2.3 is private, which it does not open\n"
            "    old (line 3): old: allow bob to db.example:5432\n"
            "      'alice' of 'staff' is not among its clients\n"
            "  would be allowed by: allow \"alice\" from 198.51.100.9 to tcp \"db.example\":5432\n");

  const Asked nat64("64:ff9b::a00:1", 443);
  EXPECT_EQ(to_text(nat64.explained("deny anyone to private"), nat64.query()),
            "denied by a rule\n"
            "  asked   tcp [64:ff9b::a00:1]:443 by an anonymous client from 198.51.100.9 on mon 00:00\n"
            "  address 64:ff9b::a00:1 (judged by what it embeds)\n"
            "  address 10.0.0.1 (private, embedded as NAT64)\n"
            "  rule    rule 1 (line 1): deny anyone to private\n"
            "  would be allowed by: allow anonymous from 198.51.100.9 to tcp 10.0.0.1:443\n");

  Asked limited("8.8.8.8", 443);
  EXPECT_EQ(to_text(limited.explained("deny alice to any\nweb: allow anyone to any rate 1000KB/s log url"),
                    limited.query(), "/etc/stile.toml"),
            "allowed\n"
            "  asked   tcp 8.8.8.8:443 by an anonymous client from 198.51.100.9 on mon 00:00\n"
            "  address 8.8.8.8 (public)\n"
            "  rule    web (/etc/stile.toml:2): web: allow anyone to any rate 1000KB/s log url\n"
            "  option  rate 1MB/s\n"
            "  option  log url\n"
            "  came close:\n"
            "    rule 1 (/etc/stile.toml:1): deny alice to any\n"
            "      an anonymous client is not among its clients\n");

  Asked ping("example.com", 0);
  ping.command = Command::ping;
  EXPECT_EQ(to_text(ping.explained("allow anyone to ping any"), ping.query()),
            "undecided: it depends on the addresses of example.com\n"
            "  asked   ping example.com by an anonymous client from 198.51.100.9 on mon 00:00\n");

  Asked local("127.0.0.1", 1080);
  local.source = address("127.0.0.1");
  local.own.sockets = {*Endpoint::parse("127.0.0.1:1080")};
  const Policy preset = Policy::loopback_preset();
  EXPECT_TRUE(to_text(explain(preset, local.query(), local.own), local.query())
                  .starts_with("denied: that is a socket of this server itself\n"));
  local.where.port = 80;
  const std::string allowed = to_text(explain(preset, local.query(), local.own), local.query());
  EXPECT_TRUE(allowed.starts_with("allowed\n")) << allowed;
  EXPECT_NE(allowed.find("loopback-preset (built in): "), std::string::npos) << allowed;
}

// P9: the log names the rule that would allow it; so it must.
TEST(Explain, OpeningRuleOpens) {
  const char* addresses[] = {"8.8.8.8",         "10.0.0.1",
                             "10.0.0.7",        "127.0.0.1",
                             "169.254.169.254", "168.63.129.16",
                             "224.0.0.1",       "2001:db8::1",
                             "fe80::1",         "64:ff9b::a00:1",
                             "2002:a00:1::1",   "2606:4700::5efe:a00:1",
                             "5000::1",         "::1",
                             "100.64.0.1",      "2001:0:808:808::f5ff:fffe"};
  for (const char* text : addresses) {
    for (const Command command : {Command::tcp, Command::udp, Command::bind, Command::ping, Command::resolve}) {
      for (const bool by_name : {false, true}) {
        for (const char* source : {"198.51.100.9", "2002:808:808::1", "64:ff9b::808:808", "::1"}) {
          Asked asked(by_name ? "self" : text, 25, text);
          asked.who = by_name ? auth::Authenticator::make("bob, from") : Identity::anonymous();
          asked.own.local_routes = {cidr("10.0.0.7")};
          asked.command = command;
          asked.source = address(source);
          const std::string rule = asked.explained("").opening_rule;
          if (std::string_view(text) == "224.0.0.1" && command != Command::udp) {
            EXPECT_EQ(rule, "");
            continue;
          }
          EXPECT_EQ(asked.explained(rule).verdict.decision, Decision::allow) << rule << " for " << text;
        }
      }
    }
  }
}

TEST(Explain, UsersThatNoRuleCanNameGetNoOpeningRule) {
  Asked asked("8.8.8.8", 443);
  for (const char* user : {"a\"b", "a\nallow anyone to any", "a\x7f"}) {
    asked.who = auth::Authenticator::make(user);
    EXPECT_EQ(asked.explained("").opening_rule, "");
    EXPECT_EQ(to_text(asked.explained(""), asked.query()).find("\nallow"), std::string::npos);
  }
}

}  // namespace
}  // namespace stile::policy
