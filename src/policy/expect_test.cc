#include "policy/expect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "policy/option_values.h"
#include "policy/policy_test_support.h"
#include "policy/supposition.h"

namespace stile::policy {
namespace {

using Lines = std::vector<std::string>;

const GroupsOf no_groups = [](const std::string&) { return std::optional<Lines>{}; };
const GroupsOf alice_is_staff = [](const std::string& user) {
  return user == "alice" ? std::optional<Lines>({"staff"}) : std::nullopt;
};

Lines texts(const std::vector<RuleError>& errors) {
  Lines lines;
  for (const RuleError& error : errors) {
    lines.push_back(std::to_string(error.line) + ":" + std::to_string(error.column) + " " + error.message);
  }
  return lines;
}

Lines faults(std::string_view text) {
  const auto parsed = parse_expectations(text);
  return parsed ? Lines{} : texts(parsed.error());
}

std::vector<Expectation> expectations(std::string_view text) {
  auto parsed = parse_expectations(text);
  if (!parsed) ADD_FAILURE() << texts(parsed.error()).front();
  return parsed ? std::move(*parsed) : std::vector<Expectation>{};
}

Lines failures_of(std::string_view rules, std::string_view expect, const GroupsOf& groups_of = no_groups) {
  return texts(failures(compiled(rules), expectations(expect), {}, groups_of));
}

// ── the text ────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST(Expect, Forms) {
  const auto parsed = expectations(
      "# comment\nalice may connect www.example.com:443 # why\n\n"
      "anyone, group:staff from 192.168.1.9 may not udp db.corp.example:53, https resolving to 10.1.2.3 at sun 23:59\n"
      "anonymous may ping 8.8.8.8\nalice may resolve \"public\"\nbob may not bind [2001:db8::1]:20");
  ASSERT_EQ(parsed.size(), 5U);
  EXPECT_EQ(parsed[0].text, "alice may connect www.example.com:443");
  EXPECT_EQ(parsed[0].line, 2);
  EXPECT_TRUE(parsed[0].may);
  EXPECT_FALSE(parsed[0].source || parsed[0].resolving || parsed[0].at);
  EXPECT_EQ(parsed[1].who.size(), 2U);
  EXPECT_EQ(parsed[1].source, address("192.168.1.9"));
  EXPECT_FALSE(parsed[1].may);
  EXPECT_EQ(parsed[1].targets, (std::vector<Target>{target("db.corp.example", 53), target("db.corp.example", 443)}));
  EXPECT_EQ(parsed[1].resolving, address("10.1.2.3"));
  EXPECT_EQ(parsed[1].at, (WeekTime{.day = 6, .minute = 1439}));
  EXPECT_EQ(parsed[2].targets, (std::vector<Target>{target("8.8.8.8", 0)}));
  EXPECT_EQ(parsed[3].targets, (std::vector<Target>{target("public", 0)}));
  EXPECT_EQ(parsed[4].command, Command::bind);
}

TEST(Expect, Faults) {
  struct Row {
    const char* text;
    const char* expected;
  };
  constexpr Row table[] = {
      {"alice", "1:6 expected ',', 'from' or 'may'"},
      {"may connect a.example:80", "1:1 expected a client, found 'may'"},
      {"alice mya connect a.example:80", "1:7 expected ',', 'from' or 'may', found 'mya' (did you mean 'may'?)"},
      {"alice from private may connect a.example:80", "1:12 expected one address, found 'private'"},
      {"alice from 10.0.0.1 connect a.example:80", "1:21 expected 'may', found 'connect'"},
      {"grup:x may connect a.example:80", "1:1 unknown kind of client 'grup' (did you mean 'group'?)"},
      {"alice may", "1:10 expected a command"},
      {"alice may cnonect a.example:80",
       "1:11 expected connect, udp, bind, ping or resolve, found 'cnonect' (did you mean 'connect'?)"},
      {"alice may connect", "1:18 expected a target"},
      {"alice may connect a.example", "1:19 expected HOST:PORT, found 'a.example'"},
      {"alice may ping a.example:80", "1:26 ping has no port"},
      {"alice may connect any:80", "1:19 an expectation is about one host: name one of 'any'"},
      {"alice may connect private:80", "1:19 an expectation is about one host: name one of 'private'"},
      {"alice may connect *.example.com:80", "1:19 an expectation is about one host: name one of '*.example.com'"},
      {"alice may connect 10.0.0.0/8:80", "1:19 an expectation is about one host: name one of '10.0.0.0/8'"},
      {"alice may connect list:x:80", "1:19 an expectation is about one host: name one of 'list:x'"},
      {"alice may connect a.example:80-90", "1:29 an expectation is about single ports, found '80-90'"},
      {"alice may connect a.example:htpp", "1:29 unknown service 'htpp' (did you mean 'http'?)"},
      {"alice may connect a.example:80 resolve to 10.0.0.1",
       "1:32 expected 'resolving', 'at' or the end of the line, found 'resolve'"},
      {"alice may connect a.example:80 resolving 10.0.0.1", "1:42 expected 'to' behind 'resolving'"},
      {"alice may connect a.example:80 resolving to b.example", "1:45 expected one address, found 'b.example'"},
      {"alice may connect 8.8.8.8:80 resolving to 10.0.0.1", "1:40 an address resolves to nothing"},
      {"alice may connect a.example:80 at 09:00", "1:40 expected a time of day such as 09:00"},
      {"alice may connect a.example:80 at mon 9:00", "1:39 expected a time of day such as 09:00, found '9:00'"},
      {"alice may connect a.example:80 at Mon 09:00",
       "1:35 expected a day, mon to sun, found 'Mon' (did you mean 'mon'?)"},
      {"alice may connect \"a", "1:19 a quote does not end"},
  };
  for (const Row& row : table) EXPECT_EQ(faults(row.text), (Lines{row.expected})) << row.text;
}

// ── the design's own example ────────────────────────────────────────────────────────────────────────────────────────

TEST(Expect, TheDesignsExampleHolds) {
  constexpr std::string_view rules =
      "no-mail:   deny  anyone to tcp any:25\n"
      "web:       allow group:staff to public:80,443\n"
      "db:        allow alice, bob from 192.168.1.0/24 to db.corp.example:5432 rate 10MB/s sessions 20\n"
      "office:    allow group:ops to 10.20.0.0/16 when mon-fri 08:00-18:00\n"
      "dns:       allow group:staff to udp any:53\n";
  EXPECT_EQ(failures_of(rules,
                        "alice  may      connect  www.example.com:443\n"
                        "alice from 192.168.1.9 may connect db.corp.example:5432 resolving to 10.1.2.3\n"
                        "anyone may not  connect  169.254.169.254:80\n"
                        "anyone may not  connect  www.example.com:25\n"
                        "group:ops may connect 10.20.0.1:22 at mon 08:00\n"
                        "group:ops may not connect 10.20.0.1:22 at sat 08:00\n",
                        alice_is_staff),
            Lines{});
}

// ── what fails says why ─────────────────────────────────────────────────────────────────────────────────────────────

TEST(Expect, FailuresNameTheRuleAndTheCase) {
  constexpr std::string_view rules =
      "no-mail: deny anyone to tcp any:25\n"
      "web: allow group:staff to public:80,443\n"
      "office: allow alice from 10.0.0.0/8 to public when mon-fri 08:00-18:00\n";
  const auto failure = [&](std::string_view expect) {
    const Lines lines = failures_of(rules, expect);
    return lines.size() == 1 ? lines[0] : std::to_string(lines.size()) + " failures";
  };
  EXPECT_EQ(failure("alice may connect a.example:25"),
            "1:1 expected 'alice may connect a.example:25', but 'no-mail' (line 1) denies it");
  EXPECT_EQ(failure("bob may connect a.example:80"),
            "1:1 expected 'bob may connect a.example:80', but no rule allows it");
  EXPECT_EQ(
      failure("anyone may not connect a.example:80 at sun 00:00"),
      "1:1 expected 'anyone may not connect a.example:80 at sun 00:00', but 'web' (line 2) allows it to a user in "
      "group:staff");
  EXPECT_EQ(failure("alice from 10.0.0.1 may connect a.example:22"),
            "1:1 expected 'alice from 10.0.0.1 may connect a.example:22', but no rule allows it on mon 00:00");
  EXPECT_EQ(failure("alice may connect a.example:22 at mon 09:00"),
            "1:1 expected 'alice may connect a.example:22 at mon 09:00', but no rule allows it from 11.67.133.9");
  EXPECT_EQ(
      failure("alice may not connect a.example:22"),
      "1:1 expected 'alice may not connect a.example:22', but 'office' (line 3) allows it from 10.0.0.0 on mon 08:00");
  EXPECT_EQ(failure("group:staff may connect a.example:80,25"),
            "1:1 expected 'group:staff may connect a.example:80,25', but 'no-mail' (line 1) denies it on port 25");
  EXPECT_EQ(failure("anyone may connect 0.0.0.0:80"),
            "1:1 expected 'anyone may connect 0.0.0.0:80', but no rule opens the unspecified address");
}

TEST(Expect, RuleLinesAreThoseOfTheFile) {
  const auto found =
      failures(compiled("\nno: deny anyone to any"), expectations("alice may connect 8.8.8.8:80"), {}, no_groups, 10);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].message, "expected 'alice may connect 8.8.8.8:80', but 'no' (line 11) denies it");
}

TEST(Expect, ANameCountsAsPublicAndIsNotResolved) {
  EXPECT_EQ(failures_of("allow anyone to public", "anyone may connect a.example:80"), Lines{});
  EXPECT_EQ(
      failures_of("deny anyone to 11.0.0.0/8, 23.0.0.0/8\nallow anyone to public", "anyone may connect a.example:80"),
      Lines{});
  EXPECT_EQ(failures_of("allow anyone to public", "anyone may not connect a.example:80 resolving to 10.0.0.1"),
            Lines{});
  EXPECT_EQ(failures_of("allow anyone to public", "anyone may not connect localhost:80"), Lines{});
  EXPECT_EQ(failures_of("allow anyone to a.example redirect 10.0.0.1:80", "anyone may connect a.example:80"), Lines{});
}

TEST(Expect, GroupsOfAUserComeFromTheUsersFile) {
  constexpr std::string_view rules = "deny group:staff to any:22\nallow anyone to any";
  EXPECT_EQ(failures_of(rules, "alice may not connect 8.8.8.8:22", alice_is_staff), Lines{});
  EXPECT_EQ(failures_of(rules, "alice may connect 8.8.8.8:22", no_groups), Lines{});
}

TEST(Expect, ServersOwnSocketsAreNotOpen) {
  const OwnAddresses own{.local_routes = {}, .sockets = {{address("127.0.0.1"), 1080}}};
  EXPECT_TRUE(failures(compiled("allow anyone to loopback"), expectations("anyone may not connect 127.0.0.1:1080"), own,
                       no_groups)
                  .empty());
}

TEST(Expect, TooManyCasesAreRefused) {
  std::string rules;
  for (int i = 0; i < 1100; ++i) {
    rules += "allow u" + std::to_string(i) + " from 10." + std::to_string(i / 256) + "." + std::to_string(i % 256) +
             ".0/24 to any\n";
  }
  const Lines found = failures_of(rules, "anyone may not connect 8.8.8.8:80");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0],
            "1:1 'anyone may not connect 8.8.8.8:80' is about too many cases (narrow it with 'from' and 'at')");
}

// ── property: nothing that an expectation says of everything has an exception ────────────────────────────────────────

class Random {
 public:
  explicit Random(unsigned seed) : random_(seed) {}

  template <std::size_t size>
  std::string pick(const char* const (&words)[size]) {
    return words[random_() % size];
  }

  std::string rule() {
    std::string text = one_in(2) ? "allow " : "deny ";
    text += pick({"anyone", "anonymous", "authenticated", "alice", "bob", "group:a", "group:b", "alice, group:b"});
    text += pick({"", "", " from 10.0.0.0/8", " from 10.1.0.0/16", " from 2001:db8::/32", " from private",
                  " from 255.255.255.255", " from 10.1.2.3, loopback"});
    text += " to " + pick({"any", "tcp udp public", "a.example:443", "*.example", "10.2.0.0/16", "any:1-100"});
    text += pick({"", "", " when mon-fri 08:00-18:00", " when sat 22:00-06:00", " when sun 23:00-24:00"});
    return text + "\n";
  }
  std::string expectation() {
    return pick({"anyone", "anonymous", "authenticated", "alice", "bob", "group:a", "group:a, anonymous", "carol"}) +
           pick({"", "", " from 10.1.2.3", " from 8.8.8.8"}) + pick({" may ", " may not "}) +
           pick({"connect a.example:443", "connect 10.2.3.4:22", "connect b.example:80 resolving to 10.2.0.1",
                 "udp 8.8.8.8:53", "connect other.test:443"}) +
           pick({"", "", " at mon 09:00", " at sun 05:59"});
  }
  bool one_in(unsigned count) { return random_() % count == 0; }

 private:
  std::mt19937 random_;
};

bool may_be(const Who& who, const Identity& client) {
  const auto& groups = client.groups();
  if (std::holds_alternative<Anonymous>(who)) return client.is_anonymous();
  if (std::holds_alternative<Authenticated>(who)) return !client.is_anonymous();
  if (const auto* const user = std::get_if<User>(&who)) return client.user() == user->name && groups.empty();
  if (const auto* const group = std::get_if<Group>(&who)) {
    return std::ranges::find(groups, group->name) != groups.end();
  }
  return true;
}

std::vector<Identity> all_clients() {
  std::vector<Identity> clients{Identity::anonymous()};
  for (const char* const user : {"alice", "bob", "carol"}) {
    for (const Lines& groups : {Lines{}, Lines{"a"}, Lines{"b"}, Lines{"a", "b"}}) {
      clients.push_back(Supposition::user(user, groups));
    }
  }
  return clients;
}

// The first case that an expectation covers and that is decided otherwise.
std::string exception_to(const Policy& policy, const Expectation& expectation) {
  constexpr const char* sources[] = {"8.8.8.8",   "10.0.0.1",    "10.1.2.2",        "10.1.2.3", "127.0.0.1",
                                     "127.0.0.9", "192.168.0.1", "255.255.255.255", "fd00::1",  "2001:db8::9",
                                     "::1",       "100.64.0.1",  "10.2.0.0",        "11.0.0.0"};
  const std::vector<Identity> clients = all_clients();
  for (const Identity& client : clients) {
    const bool about = std::ranges::any_of(expectation.who, [&](const Who& who) { return may_be(who, client); });
    if (!about) continue;
    for (const char* const source : sources) {
      if (expectation.source && *expectation.source != address(source)) continue;
      for (unsigned hour = 0; hour < 7 * 24; ++hour) {
        WeekTime at{.day = static_cast<std::uint8_t>(hour / 24), .minute = static_cast<std::uint16_t>(hour % 24 * 60)};
        if (expectation.at) at = *expectation.at;
        Query query{.who = &client,
                    .source = address(source),
                    .command = expectation.command,
                    .target = &expectation.targets[0],
                    .candidate = expectation.resolving,
                    .at = at};
        if (!query.candidate && query.target->host_name() != nullptr) query.candidate = address("9.9.9.9");
        const bool allowed = policy.decide(query, {}).decision == Verdict::Decision::allow;
        if (allowed != expectation.may) return client.user() + " from " + source + " on " + to_text(at);
        if (expectation.at) break;
      }
    }
  }
  return "";
}

TEST(ExpectProperty, WhatHoldsHasNoException) {
  Random random(7);
  int held = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string rules;
    while (!random.one_in(5)) rules += random.rule();
    const Policy policy = compiled(rules);
    const std::string text = random.expectation();
    const auto parsed = expectations(text);
    if (!failures(policy, parsed, {}, no_groups).empty()) continue;
    ++held;
    EXPECT_EQ(exception_to(policy, parsed[0]), "") << text << "\n" << rules;
  }
  EXPECT_GT(held, 400);
}

}  // namespace
}  // namespace stile::policy
