#include "policy/index.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <utility>

namespace stile::policy {
namespace {

using Number = std::uint32_t;  // of a list
using Numbers = std::vector<Number>;

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

// Lists that always exist. Those of words are numbered behind them.
constexpr Number every_question = 0;
constexpr Number anonymous_clients = 1;
constexpr Number authenticated_clients = 2;
constexpr Number without_port = 3;
constexpr Number source_classes = 4;
constexpr Number target_classes = source_classes + target_class_count;
constexpr Number first_word = target_classes + target_class_count;

constexpr Number list_of(Number classes, TargetClass target_class) noexcept {
  return classes + static_cast<Number>(target_class);
}

// A wider range has no list for each of its ports.
constexpr int ports_listed_max = 16;

// The three fields of a sieve.
constexpr std::uint32_t command_field = 0x1F;
constexpr unsigned who_bits = 10;
constexpr std::uint32_t anonymous_bit = 1U << 5;
constexpr std::uint32_t authenticated_bits = ((1U << who_bits) - 1) << 6;
constexpr std::uint32_t who_field = anonymous_bit | authenticated_bits;
constexpr std::uint32_t port_field = 0xFFFF0000;
static_assert((command_field ^ who_field ^ port_field) == UINT32_MAX);

constexpr std::uint32_t command_bit(Command command) noexcept {
  return 1U << static_cast<unsigned>(command);
}

std::uint32_t who_bit(std::size_t hash) noexcept {
  return 1U << (6 + hash % who_bits);
}

// A group and a user of one name are two words.
std::size_t group_hash(std::size_t hash) noexcept {
  return hash / who_bits;
}

constexpr std::uint32_t port_bit(unsigned port) noexcept {
  return 1U << (16 + ((port ^ port >> 4 ^ port >> 8) & 15));
}

constexpr bool passes(std::uint32_t rule, std::uint32_t question) noexcept {
  const std::uint32_t both = rule & question;
  return (both & command_field) != 0 && (both & who_field) != 0 && (both & port_field) != 0;
}

std::uint32_t who_sieve(const Who& who) {
  return std::visit(Overloaded{
                        [](Anyone) { return who_field; },
                        [](Anonymous) { return anonymous_bit; },
                        [](Authenticated) { return authenticated_bits; },
                        [](const User& user) { return who_bit(WordHash{}(user.name)); },
                        [](const Group& group) { return who_bit(group_hash(WordHash{}(group.name))); },
                    },
                    who);
}

std::uint32_t port_sieve(const TargetPattern& target) {
  if (target.ports.empty()) return port_field;
  std::uint32_t bits = 0;
  for (const PortRange& range : target.ports) {
    if (range.last - range.first >= 64) return port_field;
    for (unsigned port = range.first; port <= range.last; ++port) bits |= port_bit(port);
  }
  return bits;
}

std::uint32_t sieve_of(const Rule& rule) {
  std::uint32_t sieve = 0;
  for (const Command command : {Command::tcp, Command::udp, Command::bind, Command::ping, Command::resolve}) {
    const bool named = rule.commands.empty() ? !rule.allow || command == Command::tcp : rule.commands.contains(command);
    if (named) sieve |= command_bit(command);
  }
  for (const Who& who : rule.who) sieve |= who_sieve(who);
  for (const TargetPattern& target : rule.targets) sieve |= port_sieve(target);
  return sieve;
}

std::uint32_t sieve_of(const Question& question) {
  std::uint32_t sieve = command_bit(question.command);
  if (question.who.is_anonymous()) {
    sieve |= anonymous_bit;
  } else {
    sieve |= who_bit(WordHash{}(question.who.user()));
    for (const std::string& group : question.who.groups()) sieve |= who_bit(group_hash(WordHash{}(group)));
  }
  const bool any_port = question.anywhere || !has_port(question.command);
  return sieve | (any_port ? port_field : port_bit(question.port));
}

bool denies_everywhere(const Rule& rule) {
  return !rule.allow && std::ranges::any_of(rule.targets, [](const TargetPattern& target) {
    return std::holds_alternative<Any>(target.host) && target.ports.empty();
  });
}

// The words of rules and the numbers of their lists, while they are gathered.
struct Words {
  Number user(const std::string& name) { return number(users, name); }
  Number group(const std::string& name) { return number(groups, name); }
  Number source(const Cidr& prefix) { return number(sources, std::pair(prefix.base, prefix.length)); }
  Number target(const Cidr& prefix) { return number(targets, std::pair(prefix.base, prefix.length)); }
  Number port(std::uint16_t port) { return number(ports, port); }
  // Of the name itself; of what is below it one more.
  Number name(const HostName& name) { return number(names, name.text(), 2); }

  template <class Word>
  Number number(std::map<Word, Number>& words, const Word& word, Number lists = 1) {
    const auto [found, inserted] = words.try_emplace(word, count);
    if (inserted) count += lists;
    return found->second;
  }

  std::map<std::string, Number> users;
  std::map<std::string, Number> groups;
  std::map<std::pair<Address, std::uint8_t>, Number> sources;
  std::map<std::pair<Address, std::uint8_t>, Number> targets;
  std::map<std::string, Number> names;
  std::map<std::uint16_t, Number> ports;
  Number count = first_word;
};

// Each of the following gives lists of which every question that the rule may match reads one; nothing where such
// questions have no word in common. No list at all: there is no such question.

std::optional<Numbers> who_lists(const Rule& rule, Words& words) {
  Numbers lists;
  for (const Who& who : rule.who) {
    const auto list =
        std::visit(Overloaded{
                       [](Anyone) -> std::optional<Number> { return std::nullopt; },
                       [](Anonymous) -> std::optional<Number> { return anonymous_clients; },
                       [](Authenticated) -> std::optional<Number> { return authenticated_clients; },
                       [&](const User& user) -> std::optional<Number> { return words.user(user.name); },
                       [&](const Group& group) -> std::optional<Number> { return words.group(group.name); },
                   },
                   who);
    if (!list) return std::nullopt;
    lists.push_back(*list);
  }
  return lists;
}

std::optional<Numbers> source_lists(const Rule& rule, Words& words) {
  if (rule.sources.empty()) return std::nullopt;
  Numbers lists;
  for (const Source& source : rule.sources) {
    const auto* prefix = std::get_if<Cidr>(&source);
    lists.push_back(prefix != nullptr ? words.source(*prefix) : list_of(source_classes, std::get<TargetClass>(source)));
  }
  return lists;
}

std::optional<Numbers> target_lists(const Rule& rule, Knowledge knowledge, Words& words) {
  if (knowledge == Knowledge::anywhere) return std::nullopt;
  const bool resolved = knowledge == Knowledge::address;
  Numbers lists;
  bool told = true;
  // While the address is unknown, a target on addresses keeps an allow possible and makes no deny certain.
  const auto by_address = [&](auto list) {
    if (resolved) lists.push_back(list());
    told = told && (resolved || !rule.allow);
  };
  const auto visitor = Overloaded{
      [&](Any) {
        // For an allow that is what is public.
        told = told && resolved && rule.allow;
        lists.push_back(list_of(target_classes, TargetClass::public_space));
      },
      [&](TargetClass named) { by_address([&] { return list_of(target_classes, named); }); },
      [&](const Cidr& prefix) { by_address([&] { return words.target(prefix); }); },
      [&](const ExactName& exact) { lists.push_back(words.name(exact.name)); },
      [&](const NamesBelow& below) { lists.push_back(words.name(below.name) + 1); },
      [&](const auto&) { told = false; },  // what has no word of its own
  };
  for (const TargetPattern& target : rule.targets) std::visit(visitor, target.host);
  return told ? std::optional(std::move(lists)) : std::nullopt;
}

std::optional<Numbers> port_lists(const Rule& rule, Knowledge knowledge, Words& words) {
  if (knowledge == Knowledge::anywhere) return std::nullopt;
  Numbers lists;
  for (const TargetPattern& target : rule.targets) {
    if (target.ports.empty()) return std::nullopt;
    for (const PortRange& range : target.ports) {
      if (range.last - range.first >= ports_listed_max) return std::nullopt;
      for (unsigned port = range.first; port <= range.last; ++port) {
        lists.push_back(words.port(static_cast<std::uint16_t>(port)));
      }
    }
  }
  // A rule that names them means them whatever its ports.
  if (rule.commands.contains(Command::ping) || rule.commands.contains(Command::resolve)) lists.push_back(without_port);
  return lists;
}

enum class Kind : std::uint8_t { target, who, source, port };

std::optional<Numbers> lists_by(Kind kind, const Rule& rule, Knowledge knowledge, Words& words) {
  switch (kind) {
    case Kind::target:
      return target_lists(rule, knowledge, words);
    case Kind::who:
      return who_lists(rule, words);
    case Kind::source:
      return source_lists(rule, words);
    case Kind::port:
      return port_lists(rule, knowledge, words);
  }
  return std::nullopt;
}

constexpr std::array kinds = {Kind::target, Kind::who, Kind::source, Kind::port};

void sort_out_repeats(Numbers& lists) {
  std::ranges::sort(lists);
  const auto repeats = std::ranges::unique(lists);
  lists.erase(repeats.begin(), repeats.end());
}

}  // namespace

// Chooses for each rule the kind of word whose most frequent one among the rule's is the rarest, then files all rules.
class RuleFiler {
 public:
  RuleFiler(const std::vector<Rule>& rules, Knowledge knowledge, RuleFile& file)
      : rules_(rules), knowledge_(knowledge), file_(file) {}

  void file(bool under_words);

 private:
  [[nodiscard]] bool can_decide(const Rule& rule) const {
    return knowledge_ != Knowledge::anywhere || rule.allow || denies_everywhere(rule);
  }
  [[nodiscard]] std::vector<std::optional<Kind>> choose() const;
  void write(const std::vector<Numbers>& lists_of_rules, Number count);
  void write(const Words& words);

  const std::vector<Rule>& rules_;
  Knowledge knowledge_;
  RuleFile& file_;
};

std::vector<std::optional<Kind>> RuleFiler::choose() const {
  Words words;
  std::vector<std::array<std::optional<Numbers>, kinds.size()>> ways(rules_.size());
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    for (const Kind kind : kinds) {
      auto& lists = ways[i][static_cast<std::size_t>(kind)];
      lists = lists_by(kind, rules_[i], knowledge_, words);
      if (lists) sort_out_repeats(*lists);
    }
  }
  std::vector<std::size_t> lengths(words.count);
  for (const auto& way : ways) {
    for (const auto& lists : way) {
      for (const Number list : lists.value_or(Numbers{})) ++lengths[list];
    }
  }
  std::vector<std::optional<Kind>> choices(rules_.size());
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    std::size_t shortest = SIZE_MAX;
    for (const Kind kind : kinds) {
      const auto& lists = ways[i][static_cast<std::size_t>(kind)];
      if (!lists) continue;
      std::size_t longest = 0;
      for (const Number list : *lists) longest = std::max(longest, lengths[list]);
      if (longest >= shortest) continue;
      shortest = longest;
      choices[i] = kind;
    }
  }
  return choices;
}

void RuleFiler::file(bool under_words) {
  const auto choices = under_words ? choose() : std::vector<std::optional<Kind>>(rules_.size());
  Words words;
  std::vector<Numbers> lists_of_rules(rules_.size());
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (!can_decide(rules_[i])) continue;
    lists_of_rules[i] = choices[i] ? *lists_by(*choices[i], rules_[i], knowledge_, words) : Numbers{every_question};
    sort_out_repeats(lists_of_rules[i]);
  }
  write(lists_of_rules, words.count);
  write(words);
}

void RuleFiler::write(const std::vector<Numbers>& lists_of_rules, Number count) {
  std::vector<std::uint32_t>& begins = file_.begins_;
  begins.assign(count + 1, 0);
  for (const Numbers& lists : lists_of_rules) {
    for (const Number list : lists) ++begins[list + 1];
  }
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  file_.filed_.resize(begins.back());
  std::vector<std::uint32_t> ends = begins;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    for (const Number list : lists_of_rules[i]) {
      file_.filed_[ends[list]++] = {.rule = static_cast<std::uint32_t>(i), .sieve = sieve_of(rules_[i])};
    }
  }
}

void RuleFiler::write(const Words& words) {
  file_.users_.insert(words.users.begin(), words.users.end());
  file_.groups_.insert(words.groups.begin(), words.groups.end());
  for (const auto& [prefix, list] : words.sources) file_.sources_.add({prefix.first, prefix.second}, list);
  for (const auto& [prefix, list] : words.targets) file_.targets_.add({prefix.first, prefix.second}, list);
  for (const auto& [name, list] : words.names) file_.names_.add(name, list);
  file_.sources_.seal();
  file_.targets_.seal();
  file_.names_.seal();
  file_.ports_.assign(words.ports.begin(), words.ports.end());
}

// The answer so far of one question.
class RuleFile::Walk {
 public:
  Walk(const std::vector<Rule>& rules, const Question& question)
      : rules_(rules), question_(question), sieve_(sieve_of(question)), end_(rules.size()) {}

  // Looks for a rule before the one found so far.
  void read(std::span<const Filed> list) {
    for (const Filed& filed : list) {
      if (filed.rule >= end_) return;
      if (!passes(filed.sieve, sieve_)) continue;
      const Rule& rule = rules_[filed.rule];
      const Certainty certainty = match_rule(rule, question_, Search::first_mismatch).certainty;
      // A deny that may match changes nothing yet: what is left when it does not may still be a deny.
      if (certainty == Certainty::no || (certainty == Certainty::maybe && !rule.allow)) continue;
      found_ = {.rule = filed.rule, .certainty = certainty};
      end_ = filed.rule;
      return;
    }
  }

  [[nodiscard]] std::optional<Decider> found() const {
    return found_.certainty == Certainty::no ? std::nullopt : std::optional(found_);
  }

 private:
  const std::vector<Rule>& rules_;
  const Question& question_;
  std::uint32_t sieve_;
  std::size_t end_;
  Decider found_;
};

RuleFile::RuleFile(const std::vector<Rule>& rules, Knowledge knowledge, std::size_t scanned) {
  RuleFiler(rules, knowledge, *this).file(rules.size() > scanned);
}

std::optional<Decider> RuleFile::first(const std::vector<Rule>& rules, const Question& question) const {
  Walk walk(rules, question);
  walk.read(list(every_question));
  if (begins_[every_question + 1] == filed_.size()) return walk.found();
  walk_who(walk, question.who);
  walk_source(walk, question);
  walk_target(walk, question);
  walk_port(walk, question);
  return walk.found();
}

void RuleFile::walk_who(Walk& walk, const Identity& who) const {
  walk.read(list(who.is_anonymous() ? anonymous_clients : authenticated_clients));
  if (who.is_anonymous()) return;
  if (!users_.empty()) {
    if (const auto user = users_.find(std::string_view(who.user())); user != users_.end()) {
      walk.read(list(user->second));
    }
  }
  if (groups_.empty()) return;
  for (const std::string& name : who.groups()) {
    if (const auto group = groups_.find(std::string_view(name)); group != groups_.end()) walk.read(list(group->second));
  }
}

void RuleFile::walk_source(Walk& walk, const Question& question) const {
  for (const Facet& facet : question.source) {
    walk.read(list(list_of(source_classes, class_prefix_of(facet.address).target_class)));
    if (facet.target_class == TargetClass::metadata) walk.read(list(list_of(source_classes, TargetClass::metadata)));
    sources_.visit(facet.address, [&](Number number) { walk.read(list(number)); });
  }
  if (question.source_is_self) walk.read(list(list_of(source_classes, TargetClass::self)));
}

void RuleFile::walk_target(Walk& walk, const Question& question) const {
  if (question.host_name != nullptr) {
    names_.visit_suffixes(question.host_name->text(),
                          [&](Number number, bool whole) { walk.read(list(whole ? number : number + 1)); });
  }
  if (!question.address) return;
  for (const Facet& facet : *question.address) {
    walk.read(list(list_of(target_classes, facet.target_class)));
    targets_.visit(facet.address, [&](Number number) { walk.read(list(number)); });
  }
}

void RuleFile::walk_port(Walk& walk, const Question& question) const {
  if (!has_port(question.command)) return walk.read(list(without_port));
  const auto found = std::ranges::lower_bound(ports_, question.port, {}, &std::pair<std::uint16_t, Number>::first);
  if (found != ports_.end() && found->first == question.port) walk.read(list(found->second));
}

PolicyIndex::PolicyIndex(const std::vector<Rule>& rules, std::size_t scanned)
    : rules_(rules),
      by_address_(rules, Knowledge::address, scanned),
      by_name_(rules, Knowledge::name, scanned),
      anywhere_(rules, Knowledge::anywhere, scanned) {}

std::optional<Decider> PolicyIndex::first(const Question& question) const {
  const RuleFile& file = question.anywhere ? anywhere_ : question.address ? by_address_ : by_name_;
  return file.first(rules_, question);
}

}  // namespace stile::policy
