// Options of rules: option_values.h, option_parser.h, and `when` in match.h.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "policy/explain.h"
#include "policy/option_values.h"
#include "policy/policy_test_support.h"
#include "policy/rules.h"

namespace stile::policy {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

std::expected<RuleSet, std::vector<RuleError>> parsed(std::string_view options, std::string_view action = "allow") {
  return parse_rules(std::string(action) + " anyone to any " + std::string(options));
}

// Of `allow anyone to any OPTIONS`.
Options options(std::string_view text) {
  const auto set = parsed(text);
  if (!set) ADD_FAILURE() << text << ": " << set.error().front().message;
  return set ? set->rules.at(0).options : Options{};
}

// "COLUMN message" of each fault, the column counted from the first option.
Lines faults(std::string_view text, std::string_view action = "allow") {
  Lines lines;
  const auto set = parsed(text, action);
  if (set) return lines;
  const int offset = static_cast<int>(action.size() + std::string_view(" anyone to any ").size());
  for (const RuleError& error : set.error()) {
    lines.push_back(std::to_string(error.column - offset) + " " + error.message);
  }
  return lines;
}

TEST(Options, NoneIsTheDefault) {
  EXPECT_EQ(options(""), Options{});
  EXPECT_EQ(options("via direct"), Options{});
  EXPECT_EQ(options("log session"), Options{});
}

TEST(Options, Rates) {
  const Options parsed = options("rate 10MB/s rate per user up 64KiB/s rate per user down 1GB/s rate per tunnel 1B/s");
  EXPECT_EQ(parsed.rates, (std::vector<Rate>{{Scope::rule, Direction::both, 10'000'000},
                                             {Scope::user, Direction::up, 65'536},
                                             {Scope::user, Direction::down, 1'000'000'000},
                                             {Scope::tunnel, Direction::both, 1}}));
}

TEST(Options, SizesArePowersOfTenOrOfTwo) {
  EXPECT_EQ(parse_size("3B"), 3U);
  EXPECT_EQ(parse_size("3KB"), 3'000U);
  EXPECT_EQ(parse_size("3MB"), 3'000'000U);
  EXPECT_EQ(parse_size("3GB"), 3'000'000'000U);
  EXPECT_EQ(parse_size("3TB"), 3'000'000'000'000U);
  EXPECT_EQ(parse_size("3KiB"), 3U << 10U);
  EXPECT_EQ(parse_size("3MiB"), 3U << 20U);
  EXPECT_EQ(parse_size("3GiB"), std::uint64_t{3} << 30U);
  EXPECT_EQ(parse_size("3TiB"), std::uint64_t{3} << 40U);
  for (const std::string_view bad : {"", "MB", "10", "0MB", "-1MB", "+1MB", "1.5MB", "1 MB", "1mb", "1Mb", "1Mbit",
                                     "99999999999999999999B", "9223373TB", "1MBB"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(Options, SessionsAndQuotas) {
  const Options parsed = options("sessions 20 quota 5GB/day sessions per user 3 quota per user 1TiB/month");
  EXPECT_EQ(parsed.sessions, (std::vector<SessionsLimit>{{Scope::rule, 20}, {Scope::user, 3}}));
  EXPECT_EQ(parsed.quotas, (std::vector<Quota>{{Scope::rule, Quota::Period::day, 5'000'000'000},
                                               {Scope::user, Quota::Period::month, std::uint64_t{1} << 40U}}));
}

TEST(Options, When) {
  const Options parsed = options("when mon-fri 08:00-18:00 when sat,sun 22:00-06:00 when sun-tue 00:00-24:00");
  ASSERT_EQ(parsed.when.size(), 3U);
  EXPECT_EQ(parsed.when[0], (When{{true, true, true, true, true, false, false}, 480, 1080}));
  EXPECT_EQ(parsed.when[1], (When{{false, false, false, false, false, true, true}, 1320, 360}));
  EXPECT_EQ(parsed.when[2], (When{{true, true, false, false, false, false, true}, 0, 1440}));
}

TEST(Options, PlacesAndTheRest) {
  const Options parsed = options("egress 192.0.2.7 redirect proxy.corp.example:https idle 5m log url");
  EXPECT_EQ(parsed.egress.from, cidr("192.0.2.7"));
  EXPECT_EQ(parsed.redirect, target("proxy.corp.example", 443));
  EXPECT_EQ(parsed.idle, Duration(5min));
  EXPECT_EQ(parsed.log, RecordDetail::url);
  EXPECT_EQ(options("egress 2001:db8::/64").egress.from, cidr("2001:db8::/64"));
  EXPECT_EQ(options("egress [2001:db8::1]").egress.from, cidr("2001:db8::1"));
  EXPECT_EQ(options("egress eth0.100").egress.place_text(), "eth0.100");
  EXPECT_FALSE(options("egress eth0.100").egress.from);
  EXPECT_EQ(options("egress 192.0.2.7%eth1").egress.from, cidr("192.0.2.7"));
  EXPECT_EQ(options("egress 192.0.2.7%eth1").egress.interface.text(), "eth1");
  EXPECT_EQ(options("egress 2001:db8::/64%eth1").egress.place_text(), "2001:db8::/64%eth1");
  EXPECT_EQ(options("mark 7").egress.mark, 7U);
  EXPECT_FALSE(options("mark 7").egress.has_place());
  EXPECT_EQ(options("mark 0xFF egress eth1").egress.mark, 255U);
  EXPECT_EQ(options("mark 0xFF egress eth1").egress.place_text(), "eth1");
  EXPECT_EQ(options("egress eth1 mark 4294967295").egress.mark, 4'294'967'295U);
  EXPECT_EQ(options("redirect [2001:db8::1]:80").redirect, target("2001:db8::1", 80));
  EXPECT_EQ(options("redirect 10.0.0.1:80").redirect, target("10.0.0.1", 80));
  EXPECT_EQ(options("redirect \"public\":80").redirect, target("public", 80));
  EXPECT_EQ(options("idle off").idle, Duration::zero());
  EXPECT_EQ(options("log none").log, RecordDetail::none);
}

TEST(Options, StandBehindEveryKindOfTarget) {
  for (const std::string_view text :
       {"allow a to any:80,443 idle 5m", "allow a to b.example,c.example:80-90, https idle 5m",
        "allow a to udp any:53 idle 5m", "allow a to tcp udp [2001:db8::/32]:1 idle 5m", "x: deny a to any log none"}) {
    EXPECT_TRUE(parse_rules(text)) << text;
  }
}

TEST(Options, Faults) {
  struct Row {
    const char* text;
    const char* expected;
  };
  constexpr Row table[] = {
      {"via", "4 expected 'direct' or the name of an upstream"},
      {"via exit-eu", "5 no upstream is named 'exit-eu'"},
      {"via dierct", "5 no upstream is named 'dierct' (did you mean 'direct'?)"},
      {"via direct via direct", "12 'via' stands in this rule already"},
      {"rate", "5 expected a rate such as 10MB/s"},
      {"rate log none", "6 expected a rate such as 10MB/s, found 'log'"},
      {"rate 10MB", "6 a rate is a size a second (did you mean '10MB/s'?)"},
      {"rate 10MB/day", "6 a rate is a size a second (did you mean '10MB/s'?)"},
      {"rate fast", "6 expected a size such as 10MB, found 'fast'"},
      {"rate 10mb/s",
       "8 expected a unit, B, KB, MB, GB, TB (powers of ten) or KiB, MiB, GiB, TiB (of two), found 'mb' (did you mean "
       "'MB'?)"},
      {"rate 1.5MB/s", "7 '1.5MB' has a fraction: take a smaller unit"},
      {"rate 0B/s", "6 '0B' lets nothing pass (a deny says so more plainly)"},
      {"rate 99999999TB/s", "6 '99999999TB' is more than can be counted"},
      {"rate per users 1MB/s", "10 expected 'rule', 'user' or 'tunnel', found 'users' (did you mean 'user'?)"},
      {"rate 1MB/s rate up 2MB/s", "12 a rate for the same octets stands in this rule already"},
      {"sessions 0", "10 expected a whole number from 1 to 1000000, found '0'"},
      {"sessions -1", "10 expected a whole number from 1 to 1000000, found '-1'"},
      {"sessions per tunnel 5", "14 expected 'rule' or 'user', found 'tunnel'"},
      {"sessions 1 sessions 2", "12 'sessions' of the same scope stands in this rule already"},
      {"quota 1GB", "10 expected '/day' or '/month' behind the size"},
      {"quota 1GB/dya", "11 expected '/day' or '/month' behind the size (did you mean 'day'?)"},
      {"quota 1GB/day quota 2GB/day", "15 a quota for the same octets stands in this rule already"},
      {"when 08:00-18:00", "6 expected a day, mon to sun, found '08:00'"},
      {"when mon", "9 expected times of day such as 08:00-18:00"},
      {"when mon-fryday 08:00-18:00", "10 expected a day, mon to sun, found 'fryday'"},
      {"when Mon 08:00-18:00", "6 expected a day, mon to sun, found 'Mon' (did you mean 'mon'?)"},
      {"when mon 8:00-18:00", "10 expected times of day such as 08:00-18:00, found '8:00-18:00'"},
      {"when mon 08:00-24:01", "10 expected times of day such as 08:00-18:00, found '08:00-24:01'"},
      {"when mon 24:00-06:00", "10 expected times of day such as 08:00-18:00, found '24:00-06:00'"},
      {"egress public", "8 expected an address of this host, an IPv6 prefix of it or an interface, found 'public'"},
      {"egress 192.0.2.0/24", "8 '192.0.2.0/24' is a prefix of IPv4, where one address must be named"},
      {"egress 192.0.2.300",
       "8 expected an address of this host, an IPv6 prefix of it or an interface, found '192.0.2.300'"},
      {"egress eth0/1", "8 expected an address of this host, an IPv6 prefix of it or an interface, found 'eth0/1'"},
      {"egress eth1%eth1",
       "8 expected an address of this host, an IPv6 prefix of it or an interface, found 'eth1%eth1'"},
      {"egress 192.0.2.7%", "18 expected an interface of this host behind the '%', found ''"},
      {"egress 192.0.2.7%1", "18 expected an interface of this host behind the '%', found '1'"},
      {"egress eth1 egress 192.0.2.7", "13 'egress' stands in this rule already"},
      {"mark 0", "6 expected a mark from 1 to 4294967295, or from 0x1 to 0xffffffff, found '0'"},
      {"mark 4294967296", "6 expected a mark from 1 to 4294967295, or from 0x1 to 0xffffffff, found '4294967296'"},
      {"mark 0x", "6 expected a mark from 1 to 4294967295, or from 0x1 to 0xffffffff, found '0x'"},
      {"mark -1", "6 expected a mark from 1 to 4294967295, or from 0x1 to 0xffffffff, found '-1'"},
      {"mark 7 mark 8", "8 'mark' stands in this rule already"},
      {"egress ::", "8 nothing connects from '::'"},
      {"egress 224.0.0.1", "8 nothing connects from '224.0.0.1'"},
      {"redirect a.example", "10 expected HOST:PORT, found 'a.example'"},
      {"redirect public:80", "10 'public' is not one host"},
      {"redirect 10.0.0.0/8:80", "10 '10.0.0.0/8' is not one host"},
      {"redirect a.example:80-90", "20 expected one port, found '80-90'"},
      {"redirect a.example:htpp", "20 unknown service 'htpp' (did you mean 'http'?)"},
      {"idle 5", "6 expected a duration from 1s to 30d, such as 5m, or off, found '5'"},
      {"idle 31d", "6 expected a duration from 1s to 30d, such as 5m, or off, found '31d'"},
      {"idle 5m idle 5m", "9 'idle' stands in this rule already"},
      {"log all", "5 expected 'none', 'session' or 'url', found 'all'"},
      {"rat 10MB/s", "1 expected ',', an option or the end of the rule, found 'rat' (did you mean 'rate'?)"},
      {"idle 5m seesions 5",
       "9 expected an option or the end of the rule, found 'seesions' (did you mean 'sessions'?)"},
  };
  for (const Row& row : table) EXPECT_EQ(faults(row.text), (Lines{row.expected})) << row.text;
}

TEST(Options, EachFaultIsReported) {
  EXPECT_EQ(faults("rate x sessions y idle 5m quota z log w").size(), 4U);
}

TEST(Options, OnlyWhenAndLogBehindADeny) {
  EXPECT_TRUE(parsed("when mon 08:00-18:00 log none", "deny"));
  EXPECT_EQ(faults("rate 1MB/s", "deny"),
            (Lines{"1 'rate' means nothing behind a deny: only 'when' and 'log' may stand there"}));
  EXPECT_EQ(faults("log url", "deny"),
            (Lines{"5 'log url' means nothing behind a deny: no octet of a refused session is looked at"}));
}

// ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────

class Random {
 public:
  explicit Random(unsigned seed) : random_(seed) {}

  Options options() {
    Options made;
    for (const Scope scope : {Scope::rule, Scope::user, Scope::tunnel}) {
      const unsigned directions = below(4);
      if (directions == 1) made.rates.push_back({scope, Direction::both, size()});
      if ((directions & 2U) != 0) made.rates.push_back({scope, Direction::up, size()});
      if (directions == 3) made.rates.push_back({scope, Direction::down, size()});
      if (scope == Scope::tunnel) continue;
      if (below(2) == 0) made.sessions.push_back({scope, 1 + below(1000)});
      for (const auto period : {Quota::Period::day, Quota::Period::month}) {
        if (below(2) == 0) made.quotas.push_back({scope, period, size()});
      }
    }
    while (below(2) == 0) made.when.push_back(when());
    if (below(2) == 0) made.egress.from = cidr(below(2) == 0 ? "192.0.2.1" : "2001:db8::/48");
    if (below(2) == 0) made.egress.interface = *InterfaceName::parse("eth0.100");
    if (below(2) == 0) made.egress.mark = static_cast<std::uint32_t>(1 + below(100));
    if (below(2) == 0) made.redirect = target(below(2) == 0 ? "a.example" : "2001:db8::1", 443);
    if (below(2) == 0) made.idle = std::chrono::seconds(below(5000) < 100 ? 0 : 1 + below(5000));
    made.log = static_cast<RecordDetail>(below(3));
    return made;
  }

 private:
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
  std::uint64_t size() {
    constexpr std::uint64_t units[] = {1, 1000, 1024, 1'000'000'000, 1U << 30U};
    return (1 + below(5000)) * units[below(5)];
  }
  When when() {
    When made{{}, static_cast<std::uint16_t>(below(1440)), static_cast<std::uint16_t>(below(1441))};
    made.days[below(7)] = true;
    for (bool& day : made.days) day = day || below(2) == 0;
    return made;
  }

  std::mt19937 random_;
};

TEST(Options, TextReadsBack) {
  Random random(1);
  for (int i = 0; i < 500; ++i) {
    const Options made = random.options();
    std::string text;
    for (const std::string& option : option_texts(made)) text += option + " ";
    EXPECT_EQ(options(text), made) << text;
  }
  EXPECT_EQ(option_texts(options("rate per rule 1000KB/s when mon,tue,fri-sun 08:00-18:00 log session")),
            (Lines{"rate 1MB/s", "when mon-tue,fri-sun 08:00-18:00"}));
}

// ── when ────────────────────────────────────────────────────────────────────────────────────────────────────────────

bool holds_at(std::string_view when, std::string_view day, std::string_view time) {
  const Policy policy = compiled("allow anyone to any when " + std::string(when));
  const Identity who = Identity::anonymous();
  const Target asked = target("8.8.8.8", 443);
  WeekTime at = *parse_day(day);
  at.minute = *parse_minute(time);
  const Query query{.who = &who,
                    .source = address("192.0.2.1"),
                    .command = Command::tcp,
                    .target = &asked,
                    .candidate = std::nullopt,
                    .at = at};
  return policy.decide(query, {}).decision == Verdict::Decision::allow;
}

TEST(When, HoldsFromTheFirstMinuteUpToTheLast) {
  EXPECT_FALSE(holds_at("mon-fri 08:00-18:00", "mon", "07:59"));
  EXPECT_TRUE(holds_at("mon-fri 08:00-18:00", "mon", "08:00"));
  EXPECT_TRUE(holds_at("mon-fri 08:00-18:00", "fri", "17:59"));
  EXPECT_FALSE(holds_at("mon-fri 08:00-18:00", "fri", "18:00"));
  EXPECT_FALSE(holds_at("mon-fri 08:00-18:00", "sat", "12:00"));
  EXPECT_TRUE(holds_at("sat 08:00-24:00", "sat", "23:59"));
  EXPECT_FALSE(holds_at("sat 08:00-24:00", "sun", "00:00"));
}

TEST(When, AnEndAtOrBeforeTheBeginningLiesOnTheNextDay) {
  EXPECT_TRUE(holds_at("sun 22:00-06:00", "sun", "22:00"));
  EXPECT_TRUE(holds_at("sun 22:00-06:00", "mon", "05:59"));
  EXPECT_FALSE(holds_at("sun 22:00-06:00", "mon", "06:00"));
  EXPECT_FALSE(holds_at("sun 22:00-06:00", "sun", "05:59"));
  EXPECT_TRUE(holds_at("sun 08:00-08:00", "mon", "07:59"));
  EXPECT_FALSE(holds_at("sun 08:00-08:00", "mon", "08:00"));
}

TEST(When, SeveralAreAsGoodAsOne) {
  EXPECT_TRUE(holds_at("mon 08:00-09:00 when tue 10:00-11:00", "mon", "08:30"));
  EXPECT_TRUE(holds_at("mon 08:00-09:00 when tue 10:00-11:00", "tue", "10:30"));
  EXPECT_FALSE(holds_at("mon 08:00-09:00 when tue 10:00-11:00", "tue", "08:30"));
}

TEST(When, ADenyThatSleepsDoesNotProtectAnOpenListener) {
  EXPECT_TRUE(compiled("deny anyone to any\nallow anyone to any").every_anonymous_allow_names_its_sources());
  EXPECT_FALSE(compiled("deny anyone to any when mon 08:00-18:00\nallow anyone to any")
                   .every_anonymous_allow_names_its_sources());
}

TEST(When, IsToldAsANearMiss) {
  const Policy policy = compiled("office: allow anyone to any when mon-fri 08:00-18:00");
  const Identity who = Identity::anonymous();
  const Target asked = target("8.8.8.8", 443);
  const Query query{.who = &who,
                    .source = address("192.0.2.1"),
                    .command = Command::tcp,
                    .target = &asked,
                    .candidate = std::nullopt,
                    .at = {.day = 6, .minute = 545}};
  const Explanation explanation = explain(policy, query, {});
  ASSERT_EQ(explanation.near_misses.size(), 1U);
  EXPECT_EQ(explanation.near_misses[0].why, Mismatch::when);
  EXPECT_EQ(explanation.near_misses[0].detail, "it does not hold on sun 09:05");
}

// Security reference, 3.4: a rule matched by name that carries `redirect` never resolves the name asked for.
TEST(Redirect, ByNameDecidesWithoutAnAddress) {
  const Asker asker;
  const auto decision = [&](std::string_view rules) {
    return asker.tcp(compiled(rules), "www.example.com", 443).decision;
  };
  EXPECT_EQ(decision("allow anyone to www.example.com redirect 10.0.0.1:80"), Verdict::Decision::allow);
  EXPECT_EQ(decision("allow anyone to *.example.com redirect 10.0.0.1:80"), Verdict::Decision::allow);
  EXPECT_EQ(decision("allow anyone to any redirect 10.0.0.1:80"), Verdict::Decision::undecided);
  EXPECT_EQ(decision("allow anyone to www.example.com"), Verdict::Decision::undecided);
}

}  // namespace
}  // namespace stile::policy
