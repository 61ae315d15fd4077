// Three say the same: the compiled policy, a walk over all of its rules with the one evaluator, and an oracle that
// shares neither. Random policies and questions, a million of them; STILE_SEED replays a run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "policy/index.h"
#include "policy/policy_model_test_support.h"
#include "policy/policy_test_support.h"
#include "policy/target_list.h"

namespace stile::policy::model {
namespace {

// Sanitizers make each case ten times as dear.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int cases = 50'000;
#elif defined(__has_feature)
constexpr int cases = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 50'000 : 1'000'000;
#else
constexpr int cases = 1'000'000;
#endif

ModelTarget prefix_target(std::string_view text, std::string prefix_in) {
  return {.host = std::string(text), .prefix = cidr(text), .prefix_in = std::move(prefix_in), .ports = {}};
}

const std::vector<ModelTarget> prefixes = {
    prefix_target("0.0.0.0/0", ""),
    prefix_target("8.8.8.8", ""),
    prefix_target("10.0.0.0/8", "private"),
    prefix_target("10.0.0.0/24", "private"),
    prefix_target("10.0.0.7", "private"),
    prefix_target("8.0.0.0/5", ""),
    prefix_target("127.0.0.1", "loopback"),
    prefix_target("169.254.0.0/16", "link-local"),
    prefix_target("169.254.169.254", "link-local"),
    prefix_target("::/0", ""),
    prefix_target("2000::/3", ""),
    prefix_target("2002::/16", "reserved"),
    prefix_target("2606:4700::7", ""),
    prefix_target("fc00::/7", "private"),
    prefix_target("224.0.0.0/8", "multicast"),
    prefix_target("64:ff9b::/96", "reserved"),
    prefix_target("2001::/32", "reserved"),
    prefix_target("fd00:ec2::254", "private"),
};
const Strings asked_names = {"a.example", "b.example", "x.a.example",  "x.b.example",
                             "example",   "c.test",    "y.x.a.example"};
const Strings whos = {"anonymous", "authenticated", "alice", "bob", "carol", "group:staff", "group:ops"};
const Strings sources = {"10.0.0.0/8", "10.0.0.0/24", "public",     "private",      "self",
                         "metadata",   "reserved",    "link-local", "198.51.100.9", "64:ff9b::/96"};
const Strings commands = {"tcp", "udp", "bind", "ping", "resolve"};
const std::vector<std::pair<int, int>> port_ranges = {{443, 443}, {80, 80}, {20, 30}, {0, 65535}, {440, 450}, {24, 26}};
const std::vector<int> asked_ports = {443, 25, 80, 445, 0, 65535};
const std::vector<std::pair<int, int>> hours = {{480, 1080}, {1320, 360}, {0, 1440}, {720, 720}, {0, 1}};
const Strings days = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

unsigned seed() {
  const char* const given = std::getenv("STILE_SEED");
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
}

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::vector<ModelRule> rules(std::size_t count) {
    std::vector<ModelRule> rules;
    while (rules.size() < count) rules.push_back(rule());
    return rules;
  }

  ModelQuery query() {
    ModelQuery query{.user = one_in(4) ? "" : pick(Strings{"alice", "bob", "carol"}),
                     .source = &pick(source_places),
                     .command = one_in(2) ? "tcp" : pick(commands),
                     .anywhere = one_in(12),
                     .name = one_in(2) ? pick(asked_names) : "",
                     .place = &pick(places),
                     .port = pick(asked_ports),
                     .day = below(7),
                     .minute = one_in(2) ? below(1440) : pick(hours).first};
    if (!query.name.empty() && one_in(3)) query.place = nullptr;
    return query;
  }

 private:
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(below(static_cast<int>(from.size())))];
  }
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool one_in(int n) { return below(n) == 0; }

  ModelRule rule() {
    ModelRule rule{.allow = one_in(2)};
    for (int count = one_in(3) ? 2 : 1; count > 0; --count) rule.who.push_back(one_in(3) ? "anyone" : pick(whos));
    for (int count = one_in(3) ? 1 + below(2) : 0; count > 0; --count) rule.sources.push_back(pick(sources));
    for (const std::string& command : commands) {
      if (one_in(4)) rule.commands.push_back(command);
    }
    for (int count = 1 + below(3); count > 0; --count) rule.targets.push_back(target());
    for (int count = one_in(5) ? 1 + below(2) : 0; count > 0; --count) rule.when.push_back(when());
    rule.redirect = rule.allow && one_in(6);
    return rule;
  }

  ModelTarget target() {
    ModelTarget target;
    switch (below(9)) {
      case 0:
        target.host = "any";
        break;
      case 1:
      case 2:
        target.host = pick(classes);
        break;
      case 3:
      case 4:
        target = pick(prefixes);
        break;
      case 5:
        target.host = "list:" + pick(lists).name;
        break;
      default:
        target.host = pick(names);
        break;
    }
    for (int count = one_in(2) ? 1 + below(2) : 0; count > 0; --count) target.ports.push_back(pick(port_ranges));
    return target;
  }

  ModelWhen when() {
    const int first_day = below(7);
    const auto [first, last] = pick(hours);
    return {.first_day = first_day, .last_day = first_day + below(7 - first_day), .first = first, .last = last};
  }

  std::mt19937 random_;
};

std::string text_of(const ModelTarget& target) {
  if (target.ports.empty()) return target.host;
  std::string text = target.prefix && !target.prefix->base.is_v4() ? "[" + target.host + "]" : target.host;
  for (std::size_t i = 0; i < target.ports.size(); ++i) {
    text += (i == 0 ? ":" : ",") + std::to_string(target.ports[i].first) + "-" + std::to_string(target.ports[i].second);
  }
  return text;
}

std::string clock_of(int minute) {
  const std::string text = std::to_string(10'000 + minute / 60 * 100 + minute % 60);
  return text.substr(1, 2) + ":" + text.substr(3);
}

std::string joined(const Strings& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string text_of(const std::vector<ModelRule>& rules) {
  std::string text;
  for (const ModelRule& rule : rules) {
    text += (rule.allow ? "allow " : "deny ") + joined(rule.who);
    if (!rule.sources.empty()) text += " from " + joined(rule.sources);
    text += " to";
    for (const std::string& command : rule.commands) text += " " + command;
    Strings targets;
    for (const ModelTarget& target : rule.targets) targets.push_back(text_of(target));
    text += " " + joined(targets);
    for (const ModelWhen& when : rule.when) {
      text += " when " + days[static_cast<std::size_t>(when.first_day)] + "-" +
              days[static_cast<std::size_t>(when.last_day)] + " " + clock_of(when.first) + "-" + clock_of(when.last);
    }
    if (rule.redirect) text += " redirect elsewhere.test:443";
    text += "\n";
  }
  return text;
}

std::string text_of(const ModelQuery& query) {
  return (query.user.empty() ? "anonymous" : query.user) + " from " + query.source->address + " " + query.command +
         " " + (query.anywhere ? "anywhere" : query.name + ":" + std::to_string(query.port)) + " at " +
         (query.place != nullptr ? query.place->name : "nowhere yet") + " on " +
         days[static_cast<std::size_t>(query.day)] + " " + clock_of(query.minute);
}

Lists parsed_lists() {
  Lists parsed;
  for (const ModelList& list : lists) {
    std::string text;
    for (const std::string& name : list.names) text += name + "\n";
    for (const Cidr& prefix : list.prefixes) text += prefix.to_string() + "\n";
    parsed.emplace(list.name, std::make_shared<const TargetList>(*TargetList::parse(text)));
  }
  return parsed;
}

Command command_of(const std::string& word) {
  for (const Command command : {Command::tcp, Command::udp, Command::bind, Command::ping}) {
    if (name(command) == word) return command;
  }
  return Command::resolve;
}

const OwnAddresses& own_addresses() {
  static const OwnAddresses own{.local_routes = {cidr("10.0.0.7"), cidr("8.8.4.4"), cidr("2606:4700::7")},
                                .sockets = {}};
  return own;
}

// A query as the product knows it.
struct ProductQuery {
  explicit ProductQuery(const ModelQuery& model)
      : who(model.user.empty() ? Identity::anonymous() : auth::Authenticator::make(model.user, groups_of(model.user))) {
    const auto port = static_cast<std::uint16_t>(model.port);
    asked = model.name.empty() ? Target{.host = model.place->address, .port = port} : target(model.name, port);
    query = {.who = &who,
             .source = address(model.source->address),
             .command = command_of(model.command),
             .target = model.anywhere ? nullptr : &asked,
             .candidate = std::nullopt,
             .at = {.day = static_cast<std::uint8_t>(model.day), .minute = static_cast<std::uint16_t>(model.minute)}};
    if (model.place != nullptr && !model.anywhere) query.candidate = model.place->address;
  }
  ProductQuery(const ProductQuery&) = delete;
  ProductQuery& operator=(const ProductQuery&) = delete;

  Identity who;
  Target asked;
  Query query;
};

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

TEST(PolicyModel, TheIndexEqualsTheWalkAndTheOracle) {
  constexpr int cases_each = 40;
  const unsigned chosen = seed();
  RecordProperty("seed", std::to_string(chosen));
  SCOPED_TRACE("STILE_SEED=" + std::to_string(chosen));
  Generator generator(chosen);
  const Lists product_lists = parsed_lists();
  int decided[3] = {};
  for (int round = 0; round < cases / cases_each; ++round) {
    const auto rules = generator.rules(static_cast<std::size_t>(round % 25));
    const auto policy = Policy::compile(text_of(rules), product_lists);
    ASSERT_TRUE(policy.has_value()) << text_of(rules) << policy.error().front().message;
    const std::vector<Rule>& compiled_rules = policy->rule_set().rules;
    const PolicyIndex index(compiled_rules, 0);
    for (int i = 0; i < cases_each; ++i) {
      const ModelQuery model = generator.query();
      const ProductQuery product(model);
      const Question question(product.query, own_addresses());
      ASSERT_EQ(index.first(question), scan(compiled_rules, question)) << text_of(rules) << text_of(model);
      const auto [decision, rule] = Oracle(rules, model).verdict();
      const Verdict verdict = policy->decide(product.query, own_addresses());
      ASSERT_EQ(verdict.decision, decision) << text_of(rules) << text_of(model);
      ASSERT_EQ(verdict.rule, rule) << text_of(rules) << text_of(model);
      ++decided[static_cast<int>(decision)];
    }
  }
  for (const int count : decided) EXPECT_GT(count, cases / 100) << "a test that never sees one of the decisions";
}

// Rules enough that every kind of word is some rule's rarest, and lists of rules are long.
TEST(PolicyModel, TheIndexEqualsTheWalkAmongManyRules) {
  const unsigned chosen = seed();
  RecordProperty("seed", std::to_string(chosen));
  SCOPED_TRACE("STILE_SEED=" + std::to_string(chosen));
  Generator generator(chosen);
  const Lists product_lists = parsed_lists();
  for (int round = 0; round < 20; ++round) {
    const auto rules = generator.rules(300);
    // The first rules decide nearly everything: each in its turn is the first.
    for (std::size_t first = 0; first < rules.size(); first += 30) {
      const std::vector<ModelRule> rest(rules.begin() + static_cast<std::ptrdiff_t>(first), rules.end());
      const auto set = parse_rules(text_of(rest), product_lists);
      ASSERT_TRUE(set.has_value());
      std::vector<Rule> narrow;
      for (const Rule& rule : set->rules) {
        if (rule.targets.size() == 1 && !std::holds_alternative<Any>(rule.targets.front().host)) narrow.push_back(rule);
      }
      const PolicyIndex index(narrow, 0);
      for (int i = 0; i < 100; ++i) {
        const ModelQuery model = generator.query();
        const ProductQuery product(model);
        const Question question(product.query, own_addresses());
        ASSERT_EQ(index.first(question), scan(narrow, question)) << text_of(rest) << text_of(model);
      }
    }
  }
}

// Security reference, 3.4: a deny before DNS holds for every address the name could have, and no allow comes without,
// but to where a rule redirects.
TEST(PolicyModel, ADenyBeforeResolvingIsCertain) {
  const unsigned chosen = seed();
  RecordProperty("seed", std::to_string(chosen));
  SCOPED_TRACE("STILE_SEED=" + std::to_string(chosen));
  Generator generator(chosen);
  const Lists product_lists = parsed_lists();
  int certain = 0;
  for (int round = 0; round < 4'000; ++round) {
    const auto rules = generator.rules(static_cast<std::size_t>(1 + round % 4));
    const auto policy = Policy::compile(text_of(rules), product_lists);
    ModelQuery model = generator.query();
    model.anywhere = false;
    model.name = "a.example";
    model.place = nullptr;
    const Verdict before = policy->decide(ProductQuery(model).query, own_addresses());
    if (before.decision == Decision::allow) {
      ASSERT_TRUE(policy->options(before.rule).redirect) << text_of(rules) << text_of(model);
    }
    if (before.decision != Decision::deny) continue;
    ++certain;
    for (const Place& place : places) {
      model.place = &place;
      ASSERT_EQ(policy->decide(ProductQuery(model).query, own_addresses()).decision, Decision::deny)
          << text_of(rules) << text_of(model);
    }
  }
  EXPECT_GT(certain, 500);
}

}  // namespace
}  // namespace stile::policy::model
