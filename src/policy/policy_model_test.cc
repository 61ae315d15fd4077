// The compiled policy against a naive oracle. The oracle shares nothing with the product: addresses are a short list
// whose facets and classes are written down by hand, rules are plain structures that are also printed as text for the
// compiler, and every condition is spelled out from the design (5.3) and the security reference (1.1, 3.1, 3.3, 3.4).
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "policy/index.h"
#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

using Decision = Verdict::Decision;
using Strings = std::vector<std::string>;

struct Piece {
  std::string address;
  std::string target_class;  // "neutral" for the outside of NAT64
};

struct Place {
  std::string address;
  std::vector<Piece> pieces;
};

// With 10.0.0.7, 8.8.4.4 and 2606:4700::7 being this host's own.
const std::vector<Place> places = {
    {"8.8.8.8", {{"8.8.8.8", "public"}}},
    {"8.8.4.4", {{"8.8.4.4", "self"}}},
    {"10.0.0.1", {{"10.0.0.1", "private"}}},
    {"10.0.0.7", {{"10.0.0.7", "self"}}},
    {"100.64.0.1", {{"100.64.0.1", "cgnat"}}},
    {"127.0.0.1", {{"127.0.0.1", "loopback"}}},
    {"169.254.1.1", {{"169.254.1.1", "link-local"}}},
    {"169.254.169.254", {{"169.254.169.254", "metadata"}}},
    {"224.0.0.1", {{"224.0.0.1", "multicast"}}},
    {"192.0.2.1", {{"192.0.2.1", "reserved"}}},
    {"2606:4700::1", {{"2606:4700::1", "public"}}},
    {"2606:4700::7", {{"2606:4700::7", "self"}}},
    {"fd00::1", {{"fd00::1", "private"}}},
    {"fd00:ec2::254", {{"fd00:ec2::254", "metadata"}}},
    {"::1", {{"::1", "loopback"}}},
    {"64:ff9b::808:808", {{"64:ff9b::808:808", "neutral"}, {"8.8.8.8", "public"}}},
    {"64:ff9b::a00:1", {{"64:ff9b::a00:1", "neutral"}, {"10.0.0.1", "private"}}},
    {"2002:808:808::1", {{"2002:808:808::1", "reserved"}, {"8.8.8.8", "public"}}},
    {"2606:4700::5efe:a00:1", {{"2606:4700::5efe:a00:1", "public"}, {"10.0.0.1", "private"}}},
    {"2001:0:808:808::f5ff:fffe",
     {{"2001:0:808:808::f5ff:fffe", "reserved"}, {"8.8.8.8", "public"}, {"10.0.0.1", "private"}}},
};

struct ModelTarget {
  std::string host;       // any, a class, a prefix, a name or *.name
  std::string prefix_in;  // for a prefix: the class whose row of table 3.1 holds it; empty where none does
  int port_first = -1;    // -1: no ports
  int port_last = -1;
};

struct ModelRule {
  bool allow = false;
  std::string who;
  std::string source;  // empty: none
  Strings commands;
  std::vector<ModelTarget> targets;
};

struct ModelQuery {
  std::string user;  // empty: anonymous
  std::string source;
  std::string command;
  std::string name;            // empty: a literal
  std::optional<Place> place;  // absent: not resolved
  int port = 0;
};

const std::vector<ModelTarget> prefixes = {
    {"0.0.0.0/0", ""},
    {"8.8.8.8", ""},
    {"10.0.0.0/8", "private"},
    {"10.0.0.7", "private"},
    {"8.0.0.0/5", ""},
    {"127.0.0.1", "loopback"},
    {"169.254.0.0/16", "link-local"},
    {"169.254.169.254", "link-local"},
    {"::/0", ""},
    {"2000::/3", ""},
    {"2002::/16", "reserved"},
    {"2606:4700::7", ""},
    {"fc00::/7", "private"},
    {"224.0.0.0/8", "multicast"},
    {"64:ff9b::/96", "reserved"},
    {"2001::/32", "reserved"},
    {"fd00:ec2::254", "private"},
};
const Strings classes = {"public",    "private",  "loopback", "link-local", "cgnat",
                         "multicast", "metadata", "reserved", "self"};
const Strings names = {"a.example", "b.example", "x.a.example", "*.example", "*.a.example"};
const Strings asked_names = {"a.example", "b.example", "x.a.example", "example", "c.test"};
const Strings whos = {"anyone", "anonymous", "authenticated", "alice", "bob", "group:staff"};
const Strings sources = {"", "", "10.0.0.0/8", "public", "private", "self", "198.51.100.9"};
const Strings source_addresses = {"198.51.100.9", "10.0.0.9", "10.0.0.7", "8.8.8.8"};
const Strings commands = {"tcp", "udp", "bind", "ping", "resolve"};
const std::vector<std::pair<int, int>> port_ranges = {{-1, -1}, {-1, -1}, {443, 443}, {20, 30}, {0, 65535}};
const std::vector<int> asked_ports = {443, 25, 80};

bool is_one_of(const std::string& word, const Strings& list) {
  for (const std::string& item : list) {
    if (item == word) return true;
  }
  return false;
}

bool ends_with_label(const std::string& name, const std::string& suffix) {
  return name.size() > suffix.size() && name.substr(name.size() - suffix.size() - 1) == "." + suffix;
}

// The oracle.
class Oracle {
 public:
  Oracle(const std::vector<ModelRule>& rules, const ModelQuery& query) : rules_(rules), query_(query) {}

  // Decision and index of the rule.
  std::pair<Decision, int> verdict() const {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const ModelRule& rule = rules_[i];
      if (!who(rule) || !source(rule) || !command(rule)) continue;
      if (!query_.place) {
        if (rule.allow && could_allow(rule)) return {Decision::undecided, -1};
        if (!rule.allow && surely_denies(rule)) return {Decision::deny, static_cast<int>(i)};
        continue;
      }
      if (rule.allow ? allows(rule) : denies(rule)) {
        return {rule.allow ? Decision::allow : Decision::deny, static_cast<int>(i)};
      }
    }
    return {Decision::deny, -1};
  }

 private:
  bool who(const ModelRule& rule) const {
    if (rule.who == "anyone") return true;
    if (rule.who == "anonymous") return query_.user.empty();
    if (rule.who == "authenticated") return !query_.user.empty();
    if (rule.who == "group:staff") return query_.user == "alice";
    return rule.who == query_.user;
  }

  bool source(const ModelRule& rule) const {
    if (rule.source.empty()) return true;
    if (rule.source == "public") return query_.source == "8.8.8.8";
    if (rule.source == "private" || rule.source == "10.0.0.0/8") return query_.source.starts_with("10.");
    if (rule.source == "self") return query_.source == "10.0.0.7";
    return rule.source == query_.source;
  }

  bool command(const ModelRule& rule) const {
    if (rule.commands.empty()) return !rule.allow || query_.command == "tcp";
    return is_one_of(query_.command, rule.commands);
  }

  bool port(const ModelRule& rule, const ModelTarget& target) const {
    const bool portless = query_.command == "ping" || query_.command == "resolve";
    if (target.port_first < 0) return !(rule.allow && query_.command == "tcp" && query_.port == 25);
    if (portless) return !rule.commands.empty();
    return target.port_first <= query_.port && query_.port <= target.port_last;
  }

  bool named(const ModelTarget& target) const {
    if (query_.name.empty()) return false;
    if (target.host.starts_with("*.")) return ends_with_label(query_.name, target.host.substr(2));
    return target.host == query_.name;
  }

  static bool is_name(const ModelTarget& target) { return is_one_of(target.host, names); }
  static bool is_class(const ModelTarget& target) { return is_one_of(target.host, classes); }
  static bool in_prefix(const ModelTarget& target, const Piece& piece) {
    return cidr(target.host).contains(address(piece.address));
  }

  bool covers(const ModelRule& rule, const ModelTarget& target, const Piece& piece) const {
    const std::string& kind = piece.target_class;
    if (!port(rule, target)) return false;
    if (kind == "multicast" && query_.command != "udp") return false;
    if (target.host == "any") return kind == "public";
    if (is_class(target)) return target.host == kind;
    if (is_name(target)) {
      const bool soft = kind == "private" || kind == "cgnat";
      return named(target) && (kind == "public" || (soft && !target.host.starts_with("*.")));
    }
    if (!in_prefix(target, piece)) return false;
    if (kind == "public") return true;
    const bool exact_host = target.host.find('/') == std::string::npos;
    return kind == "metadata" || kind == "self" ? exact_host : target.prefix_in == kind;
  }

  bool allows(const ModelRule& rule) const {
    for (const Piece& piece : query_.place->pieces) {
      if (piece.target_class == "neutral") continue;
      bool covered = false;
      for (const ModelTarget& target : rule.targets) covered = covered || covers(rule, target, piece);
      if (!covered) return false;
    }
    return true;
  }

  bool denies(const ModelRule& rule) const {
    for (const ModelTarget& target : rule.targets) {
      for (const Piece& piece : query_.place->pieces) {
        if (!port(rule, target)) continue;
        if (target.host == "any" || named(target)) return true;
        if (is_class(target) && target.host == piece.target_class) return true;
        if (!is_class(target) && !is_name(target) && in_prefix(target, piece)) return true;
      }
    }
    return false;
  }

  bool could_allow(const ModelRule& rule) const {
    for (const ModelTarget& target : rule.targets) {
      const bool multicast = target.host == "multicast" || target.prefix_in == "multicast";
      if (!port(rule, target) || (multicast && query_.command != "udp")) continue;
      if (!is_name(target) || named(target)) return true;
    }
    return false;
  }

  bool surely_denies(const ModelRule& rule) const {
    for (const ModelTarget& target : rule.targets) {
      if (port(rule, target) && (target.host == "any" || named(target))) return true;
    }
    return false;
  }

  const std::vector<ModelRule>& rules_;
  const ModelQuery& query_;
};

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  ModelRule rule() {
    ModelRule rule{.allow = one_in(2), .who = pick(whos), .source = pick(sources), .commands = {}, .targets = {}};
    if (one_in(2)) rule.who = "anyone";
    for (const std::string& command : commands) {
      if (one_in(4)) rule.commands.push_back(command);
    }
    for (int count = 1 + static_cast<int>(random_() % 3); count > 0; --count) rule.targets.push_back(target());
    return rule;
  }

  ModelQuery query() {
    ModelQuery query{.user = one_in(2)   ? "alice"
                             : one_in(2) ? "bob"
                                         : "",
                     .source = pick(source_addresses),
                     .command = one_in(2) ? "tcp" : pick(commands),
                     .name = one_in(2) ? pick(asked_names) : "",
                     .place = pick(places),
                     .port = pick(asked_ports)};
    if (!query.name.empty() && one_in(3)) query.place.reset();
    return query;
  }

 private:
  template <class T>
  const T& pick(const std::vector<T>& list) {
    return list[random_() % list.size()];
  }
  bool one_in(unsigned n) { return random_() % n == 0; }

  ModelTarget target() {
    ModelTarget target;
    switch (random_() % 4) {
      case 0:
        target.host = "any";
        break;
      case 1:
        target.host = pick(classes);
        break;
      case 2:
        target = pick(prefixes);
        break;
      default:
        target.host = pick(names);
        break;
    }
    std::tie(target.port_first, target.port_last) = pick(port_ranges);
    return target;
  }

  std::mt19937 random_;
};

std::string text_of(const ModelTarget& target) {
  if (target.port_first < 0) return target.host;
  const std::string host = target.host.find(':') == std::string::npos ? target.host : "[" + target.host + "]";
  return host + ":" + std::to_string(target.port_first) + "-" + std::to_string(target.port_last);
}

std::string text_of(const std::vector<ModelRule>& rules) {
  std::string text;
  for (const ModelRule& rule : rules) {
    text += (rule.allow ? "allow " : "deny ") + rule.who;
    if (!rule.source.empty()) text += " from " + rule.source;
    text += " to";
    for (const std::string& command : rule.commands) text += " " + command;
    for (std::size_t i = 0; i < rule.targets.size(); ++i) text += (i == 0 ? " " : ", ") + text_of(rule.targets[i]);
    text += "\n";
  }
  return text;
}

std::string text_of(const ModelQuery& query) {
  return (query.user.empty() ? "anonymous" : query.user) + " from " + query.source + " " + query.command + " " +
         query.name + ":" + std::to_string(query.port) + " at " + (query.place ? query.place->address : "nowhere yet");
}

Command command_of(const std::string& word) {
  for (const Command command : {Command::tcp, Command::udp, Command::bind, Command::ping}) {
    if (name(command) == word) return command;
  }
  return Command::resolve;
}

OwnAddresses own_addresses() {
  OwnAddresses own;
  own.local_routes = {cidr("10.0.0.7"), cidr("8.8.4.4"), cidr("2606:4700::7")};
  return own;
}

// Calls ask(Query, OwnAddresses) with the query as the product knows it.
template <class Ask>
auto with_query(const ModelQuery& query, Ask ask) {
  using auth::Authenticator;
  const Identity who = query.user.empty()      ? Identity::anonymous()
                       : query.user == "alice" ? Authenticator::make("alice", {"staff"})
                                               : Authenticator::make(query.user);
  const auto port = static_cast<std::uint16_t>(query.port);
  const Target asked = target(query.name.empty() ? query.place->address : query.name, port);
  return ask(Query{.who = &who,
                   .source = address(query.source),
                   .command = command_of(query.command),
                   .target = &asked,
                   .candidate = query.place ? std::optional(address(query.place->address)) : std::nullopt},
             own_addresses());
}

Verdict decide(const Policy& policy, const ModelQuery& query) {
  return with_query(query, [&](const Query& q, const OwnAddresses& own) { return policy.decide(q, own); });
}

// What the index stands for.
std::optional<Decider> scan(const std::vector<Rule>& rules, const Question& question) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Certainty certainty = match_rule(rules[i], question, Search::first_mismatch).certainty;
    if (certainty == Certainty::yes || (certainty == Certainty::maybe && rules[i].allow)) {
      return Decider{.rule = static_cast<std::uint32_t>(i), .certainty = certainty};
    }
  }
  return std::nullopt;
}

TEST(PolicyModel, EqualsTheOracle) {
  Generator generator(1928);
  int decided[3] = {};
  for (int round = 0; round < 4'000; ++round) {
    std::vector<ModelRule> rules;
    for (int i = 0; i < round % 7; ++i) rules.push_back(generator.rule());
    const Policy policy = compiled(text_of(rules));
    const auto set = parse_rules(text_of(rules));
    const PolicyIndex index(set->rules, 0);
    for (int i = 0; i < 25; ++i) {
      const ModelQuery query = generator.query();
      with_query(query, [&](const Query& q, const OwnAddresses& own) {
        const Question question(q, own);
        ASSERT_EQ(index.first(question), scan(set->rules, question)) << text_of(rules) << text_of(query);
      });
      const auto [decision, rule] = Oracle(rules, query).verdict();
      const Verdict verdict = decide(policy, query);
      ASSERT_EQ(verdict.decision, decision) << text_of(rules) << text_of(query);
      ASSERT_EQ(verdict.rule, rule) << text_of(rules) << text_of(query);
      ++decided[static_cast<int>(decision)];
    }
  }
  for (const int count : decided) EXPECT_GT(count, 1'000) << "a test that never sees one of the decisions";
}

// Security reference, 3.4: a deny before DNS holds for every address the name could have, and no allow comes without.
TEST(PolicyModel, ADenyBeforeResolvingIsCertain) {
  Generator generator(1929);
  int certain = 0;
  for (int round = 0; round < 4'000; ++round) {
    std::vector<ModelRule> rules;
    for (int i = 0; i < 1 + round % 4; ++i) rules.push_back(generator.rule());
    const Policy policy = compiled(text_of(rules));
    ModelQuery query = generator.query();
    query.name = "a.example";
    query.place.reset();
    const Decision before = decide(policy, query).decision;
    ASSERT_NE(before, Decision::allow);
    if (before != Decision::deny) continue;
    ++certain;
    for (const Place& place : places) {
      query.place = place;
      ASSERT_EQ(decide(policy, query).decision, Decision::deny) << text_of(rules) << text_of(query);
    }
  }
  EXPECT_GT(certain, 500);
}

}  // namespace
}  // namespace stile::policy
