#include "policy/rules.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "policy/policy_test_support.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

// "LINE:COLUMN message" of each fault, empty for rules without one.
std::vector<std::string> faults(std::string_view text) {
  std::vector<std::string> lines;
  const auto set = parse_rules(text);
  if (set) return lines;
  for (const RuleError& error : set.error()) {
    lines.push_back(std::to_string(error.line) + ":" + std::to_string(error.column) + " " + error.message);
  }
  return lines;
}

Rule rule(std::string_view text) {
  auto set = parse_rules(text);
  STILE_ASSERT(set.has_value() && set->rules.size() == 1);
  return std::move(set->rules.front());
}

std::vector<std::string> ports_of(const TargetPattern& target) {
  std::vector<std::string> ports;
  for (const PortRange& range : target.ports) {
    ports.push_back(range.first == range.last ? std::to_string(range.first)
                                              : std::to_string(range.first) + "-" + std::to_string(range.last));
  }
  return ports;
}

std::string host_of(const TargetPattern& target) {
  if (std::holds_alternative<Any>(target.host)) return "any";
  if (const auto* named = std::get_if<TargetClass>(&target.host)) return std::string(name(*named));
  if (const auto* prefix = std::get_if<Cidr>(&target.host)) return prefix->to_string();
  if (const auto* exact = std::get_if<ExactName>(&target.host)) return "name " + exact->name.text();
  return "below " + std::get<NamesBelow>(target.host).name.text();
}

using Lines = std::vector<std::string>;

struct Fault {
  const char* text;
  const char* expected;
};

void expect_faults(std::span<const Fault> table) {
  for (const Fault& row : table) EXPECT_EQ(faults(row.text), (Lines{row.expected})) << row.text;
}

TEST(Rules, EmptyTextIsNoRules) {
  for (const char* text : {"", "\n", "  \n\t\r\n", "# only a comment", "#\n#"}) {
    const auto set = parse_rules(text);
    ASSERT_TRUE(set);
    EXPECT_TRUE(set->rules.empty()) << text;
  }
}

TEST(Rules, NamesTextAndLines) {
  const auto good = parse_rules("\n web-1.x: allow anyone to any # comment\r\n\ndeny alice to public");
  ASSERT_TRUE(good);
  ASSERT_EQ(good->infos.size(), 2U);
  EXPECT_EQ(good->infos[0].name, "web-1.x");
  EXPECT_EQ(good->infos[0].text, "web-1.x: allow anyone to any");
  EXPECT_EQ(good->infos[0].line, 2);
  EXPECT_EQ(good->infos[1].name, "rule 2");
  EXPECT_EQ(good->infos[1].line, 4);
}

TEST(Rules, QuotesKeepSpacesCommasAndHashes) {
  EXPECT_EQ(faults("allow anyone to \"a#b,c d\""), (Lines{"1:17 'a#b,c d' is not a host name: bad-byte 0x23"}));
  EXPECT_EQ(std::get<User>(rule("allow \"a, b # c\" to any").who.at(0)).name, "a, b # c");
}

TEST(Rules, Who) {
  const Rule parsed =
      rule("allow anyone, anonymous, authenticated, alice, \"from\", group:staff, group:\"a b\" to any");
  ASSERT_EQ(parsed.who.size(), 7U);
  EXPECT_TRUE(std::holds_alternative<Anyone>(parsed.who[0]));
  EXPECT_TRUE(std::holds_alternative<Anonymous>(parsed.who[1]));
  EXPECT_TRUE(std::holds_alternative<Authenticated>(parsed.who[2]));
  EXPECT_EQ(std::get<User>(parsed.who[3]).name, "alice");
  EXPECT_EQ(std::get<User>(parsed.who[4]).name, "from");
  EXPECT_EQ(std::get<Group>(parsed.who[5]).name, "staff");
  EXPECT_EQ(std::get<Group>(parsed.who[6]).name, "a b");
}

// The users behind a Unix-domain socket.
TEST(Rules, UserNumbers) {
  const auto rules = parse_rules("allow uid:1000, uid:0 to public");
  ASSERT_TRUE(rules);
  EXPECT_EQ(std::get<User>(rules->rules[0].who[0]).name, "uid:1000");
  EXPECT_EQ(std::get<User>(rules->rules[0].who[1]).name, "uid:0");
  for (const std::string_view bad : {"uid:", "uid:alice", "uid:007", "uid:-1", "uid:4294967296", "uid:1x"}) {
    const auto faulty = parse_rules("allow " + std::string(bad) + " to public");
    ASSERT_FALSE(faulty) << bad;
    EXPECT_EQ(faulty.error()[0].column, 11) << bad;
  }
}

TEST(Rules, Sources) {
  const Rule parsed = rule("deny anyone from 192.0.2.1, 10.0.0.0/8,2001:db8::/32 ,[2001:db8::1], private to any");
  ASSERT_EQ(parsed.sources.size(), 5U);
  EXPECT_EQ(std::get<Cidr>(parsed.sources[0]).to_string(), "192.0.2.1/32");
  EXPECT_EQ(std::get<Cidr>(parsed.sources[1]).to_string(), "10.0.0.0/8");
  EXPECT_EQ(std::get<Cidr>(parsed.sources[2]).to_string(), "2001:db8::/32");
  EXPECT_EQ(std::get<Cidr>(parsed.sources[3]).to_string(), "2001:db8::1/128");
  EXPECT_EQ(std::get<TargetClass>(parsed.sources[4]), TargetClass::private_space);
}

TEST(Rules, CommandsStandSideBySide) {
  const Rule parsed = rule("allow anyone to connect udp resolve any");
  EXPECT_TRUE(parsed.commands.contains(Command::tcp));
  EXPECT_TRUE(parsed.commands.contains(Command::udp));
  EXPECT_FALSE(parsed.commands.contains(Command::bind));
  EXPECT_FALSE(parsed.commands.contains(Command::ping));
  EXPECT_TRUE(parsed.commands.contains(Command::resolve));
  EXPECT_TRUE(rule("allow anyone to any").commands.empty());
}

TEST(Rules, Hosts) {
  const Rule parsed = rule(
      "allow anyone to any, link-local, 10.0.0.1, 10.0.0.0/8, 2001:db8::1, 2001:db8::/32, [::1], [fc00::/7], "
      "Example.COM., *.Example.com, \"public\", ::ffff:192.0.2.1");
  Lines hosts;
  for (const TargetPattern& target : parsed.targets) hosts.push_back(host_of(target));
  EXPECT_EQ(hosts,
            (Lines{"any", "link-local", "10.0.0.1/32", "10.0.0.0/8", "2001:db8::1/128", "2001:db8::/32", "::1/128",
                   "fc00::/7", "name example.com", "below example.com", "name public", "192.0.2.1/32"}));
}

TEST(Rules, Ports) {
  const Rule parsed = rule(
      "allow anyone to public:80,443, 1000-2000 , https, [::1]:22, [fc00::/7]:ssh, \"http\":0-65535, 10.0.0.0/8:1");
  ASSERT_EQ(parsed.targets.size(), 5U);
  EXPECT_EQ(ports_of(parsed.targets[0]), (Lines{"80", "443", "1000-2000", "443"}));
  EXPECT_EQ(ports_of(parsed.targets[1]), (Lines{"22"}));
  EXPECT_EQ(ports_of(parsed.targets[2]), (Lines{"22"}));
  EXPECT_EQ(host_of(parsed.targets[3]), "name http");
  EXPECT_EQ(ports_of(parsed.targets[3]), (Lines{"0-65535"}));
  EXPECT_EQ(ports_of(parsed.targets[4]), (Lines{"1"}));
}

// Design, 5.3: after a comma, digits or a known service name go on with the ports; all else is a host.
TEST(Rules, CommasBetweenPortsAndHosts) {
  const Rule parsed = rule("allow anyone to a.example:80, ssh, 1.2.3.4:22, http:81, \"ssh\", 443x.example, smtp");
  Lines hosts;
  for (const TargetPattern& target : parsed.targets) hosts.push_back(host_of(target));
  EXPECT_EQ(hosts, (Lines{"name a.example", "1.2.3.4/32", "name http", "name ssh", "name 443x.example", "name smtp"}));
  EXPECT_EQ(ports_of(parsed.targets[0]), (Lines{"80", "22"}));
  EXPECT_EQ(ports_of(parsed.targets[2]), (Lines{"81"}));
}

TEST(Rules, EveryServiceNameIsAPort) {
  for (const std::string_view service : service_words()) {
    const Rule parsed = rule("allow anyone to public:" + std::string(service));
    EXPECT_EQ(parsed.targets.at(0).ports.at(0).first, service_port(service));
  }
}

TEST(Rules, StructureFaults) {
  constexpr Fault table[] = {
      {"alow anyone to any", "1:1 expected 'allow' or 'deny', found 'alow' (did you mean 'allow'?)"},
      {"web:allow anyone to any", "1:1 expected 'allow' or 'deny', found 'web:allow' (a space is missing behind ':')"},
      {"web: # nothing", "1:5 expected 'allow' or 'deny'"},
      {"allow", "1:6 expected a client"},
      {"allow , alice to any", "1:7 expected a client"},
      {"allow alice, to any", "1:14 expected a client, found 'to'"},
      {"allow anyone form private to any", "1:14 expected ',', 'from' or 'to', found 'form' (did you mean 'from'?)"},
      {"allow anyone", "1:13 expected ',', 'from' or 'to'"},
      {"allow anyone from private too any", "1:27 expected ',' or 'to', found 'too' (did you mean 'to'?)"},
      {"allow anyone to", "1:16 expected a target"},
      {"allow anyone to udp", "1:17 expected a target behind 'udp' (a host of that name must be quoted)"},
      {"allow anyone to any,", "1:21 expected a target"},
      {"allow anyone to any,, public", "1:21 expected a target"},
      {"allow anyone to tpc any", "1:17 unknown command 'tpc' (did you mean 'tcp'?)"},
      {"allow anyone to tcp upd any", "1:21 unknown command 'upd' (did you mean 'udp'?)"},
      {"allow anyone to example.com example.org",
       "1:29 expected ',', an option or the end of the rule, found 'example.org'"},
      {"allow anyone to any:443, 80 via exit", "1:33 no upstream is named 'exit'"},
      {"no/mail: deny anyone to any", "1:1 the rule name 'no/mail' may hold only letters, digits, '-', '_' and '.'"},
      {": deny anyone to any", "1:1 the rule name '' may hold only letters, digits, '-', '_' and '.'"},
      {"a: deny anyone to any\na: deny anyone to any", "2:1 the rule name 'a' stands on line 1 already"},
      {"allow \"alice to any", "1:7 a quote does not end"},
      {"allow ali\x01 to any", "1:10 a control character in a rule"},
  };
  expect_faults(table);
}

TEST(Rules, ClientAndSourceFaults) {
  constexpr Fault table[] = {
      {"allow anyoen to any",
       "1:7 unknown client 'anyoen' (did you mean 'anyone'? a user of that name must be quoted)"},
      {"allow any to any", "1:7 unknown client 'any' (did you mean 'anyone'? a user of that name must be quoted)"},
      {"allow Anonymous to any",
       "1:7 unknown client 'Anonymous' (did you mean 'anonymous'? a user of that name must be quoted)"},
      {"allow cert: to any", "1:12 the name of a certificate is missing"},
      {"allow grup:x to any", "1:7 unknown kind of client 'grup' (did you mean 'group'?)"},
      {"allow group: to any", "1:13 the name of a group is missing"},
      {"allow \"\" to any", "1:7 the name of a user is missing"},
      {"allow al\"i\"ce to any", "1:7 quotes must enclose the whole name"},
      {"allow anyone from privat to any",
       "1:19 unknown source 'privat': an address, a CIDR or a class is expected (did you mean 'private'?)"},
      {"allow anyone from any to any", "1:19 unknown source 'any' (leave out 'from' to mean every source)"},
      {"allow anyone from host.example to any",
       "1:19 unknown source 'host.example': an address, a CIDR or a class is expected"},
      {"allow anyone from 10.0.0.1/8 to any",
       "1:19 '10.0.0.1/8' has bits set beyond its prefix length (did you mean '10.0.0.0/8'?)"},
      {"allow anyone from 10.0.0.0/33 to any", "1:19 '10.0.0.0/33' needs a prefix length of 0 to 32"},
      {"allow anyone from fe80::1%eth0 to any",
       "1:19 unknown source 'fe80::1%eth0': an address, a CIDR or a class is expected"},
  };
  expect_faults(table);
}

// TN4: rule names go through the one canonicaliser; globs only as the whole left-most label.
TEST(Rules, TargetFaults) {
  constexpr Fault table[] = {
      {"allow anyone to pubic",
       "1:17 unknown class 'pubic' (did you mean 'public'? a host of that name must be quoted)"},
      {"allow anyone to Public:80",
       "1:17 unknown class 'Public' (did you mean 'public'? a host of that name must be quoted)"},
      {"allow anyone to *", "1:17 unknown host '*' (did you mean 'any'?)"},
      {"allow anyone to *x.example",
       "1:17 '*x.example': '*' may only stand as the whole left-most label, as in '*.example.com'"},
      {"allow anyone to a.*.example",
       "1:17 'a.*.example': '*' may only stand as the whole left-most label, as in '*.example.com'"},
      {"allow anyone to *.10.0.0.1", "1:17 '10.0.0.1' is an address, not a name"},
      {"allow anyone to \"10.0.0.1\"", "1:17 '10.0.0.1' is an address, not a name"},
      {"allow anyone to \"*.example\"", "1:17 '*.example' is not a host name: bad-byte 0x2a"},
      {"allow anyone to list:blocked", "1:17 no list is named 'blocked' ([policy] lists names them)"},
      {"allow anyone to b\xc3\xbc.example",
       "1:17 'b\\xc3\\xbc.example' is not a host name: bad-byte 0xc3 (names outside ASCII are written in their xn-- "
       "form)"},
      {"allow anyone to 127.1", "1:17 '127.1' is not a host name: numeric"},
      {"allow anyone to fe80::1%eth0", "1:17 'fe80::1%eth0' is not a host name: bad-byte 0x25"},
      {"allow anyone to 10.0.0.1/8",
       "1:17 '10.0.0.1/8' has bits set beyond its prefix length (did you mean '10.0.0.0/8'?)"},
      {"allow anyone to 2001:db8::/32:443", "1:17 '2001:db8::/32:443' needs brackets: [ADDRESS/LENGTH]:PORTS"},
      {"allow anyone to [::1", "1:17 ']' is missing in '[::1'"},
      {"allow anyone to [::1]443", "1:22 expected ':' and ports behind '[::1]'"},
      {"allow anyone to \"a\"b", "1:20 expected ':' and ports behind '\"a\"'"},
      {"allow anyone to any, 443", "1:22 '443' is a port: ports stand behind a host, as in 'public:443'"},
      {"allow anyone to any:", "1:20 ports are missing behind ':'"},
      {"allow anyone to any:htttps", "1:21 unknown service 'htttps' (did you mean 'https'?)"},
      {"allow anyone to any:65536", "1:21 '65536': ports go up to 65535"},
      {"allow anyone to any:80, 99999999999", "1:25 '99999999999': ports go up to 65535"},
      {"allow anyone to any:90-80", "1:21 '90-80' ends before it begins (did you mean '80-90'?)"},
      {"allow anyone to any:80-", "1:21 unknown service '80-'"},
  };
  expect_faults(table);
}

TEST(Rules, AllFaultsAreReportedInOrder) {
  EXPECT_EQ(
      faults("allow anyoen, cert: from anwhere to pubic:htps, 10.0.0.1/8\n\n deny\nallow anyone to any:1,99999").size(),
      8U);
  const auto reported =
      parse_rules("allow anyoen, cert: from here to pubic:htps\n\n deny\nallow anyone to any:1,99999");
  ASSERT_FALSE(reported);
  for (std::size_t i = 1; i < reported.error().size(); ++i) {
    const RuleError& before = reported.error()[i - 1];
    const RuleError& error = reported.error()[i];
    EXPECT_TRUE(before.line < error.line || (before.line == error.line && before.column < error.column));
  }
}

TEST(Rules, MessagesShowNothingUnprintable) {
  for (const std::string& fault : faults("allow anyone to \xe2\x80\xae"
                                         "evil\nallow anyone to \x1b[31m\n")) {
    for (const char c : fault) EXPECT_TRUE(c >= 0x20 && c <= 0x7E) << fault;
  }
  const std::string endless(5000, 'x');
  EXPECT_LT(faults("allow anyone to " + endless).at(0).size(), 200U);
}

TEST(Rules, TheNumberOfRulesIsLimited) {
  std::string text;
  for (std::size_t i = 0; i < limits::rules_max; ++i) text += "deny a to b.c\n";
  EXPECT_TRUE(parse_rules(text));
  EXPECT_EQ(faults(text + "deny a to b.c\n\n"), (Lines{"100001:1 more than 100000 rules"}));
}

}  // namespace
}  // namespace stile::policy
