#include "policy/index.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "policy/name_suffixes.h"

namespace stile::policy {
namespace {

using Number = std::uint32_t;  // of a list
using Numbers = std::vector<Number>;

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

// Numbers of the lists that always exist; those of words and prefixes come behind them.
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

// What a word is makes it another word: a group is no user of the same name.
enum class WordKind : std::uint8_t { user, group, name, names_below, port };

std::uint64_t word_hash(WordKind kind, std::uint64_t hash) noexcept {
  return spread(hash + static_cast<std::uint64_t>(kind));
}

std::uint64_t word_hash(WordKind kind, std::string_view word) noexcept {
  return word_hash(kind, std::hash<std::string_view>{}(word));
}

// Any one does: a name that collides costs a look at one rule more.
constexpr std::uint64_t point = 0x9e3779b97f4a7c15 & NameSuffixes::point_max;

std::uint64_t word_hash(WordKind kind, const HostName& name) noexcept {
  NameSuffixes suffixes(name.text(), point);
  while (suffixes.next()) {
  }
  return word_hash(kind, suffixes.hash());
}

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

constexpr std::uint32_t who_bit(std::uint64_t word) noexcept {
  return 1U << (6 + word % who_bits);
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
                        [](const User& user) { return who_bit(word_hash(WordKind::user, user.name)); },
                        [](const Group& group) { return who_bit(word_hash(WordKind::group, group.name)); },
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
    sieve |= who_bit(word_hash(WordKind::user, question.who.user()));
    for (const std::string& group : question.who.groups()) sieve |= who_bit(word_hash(WordKind::group, group));
  }
  const bool any_port = question.anywhere || !has_port(question.command);
  return sieve | (any_port ? port_field : port_bit(question.port));
}

bool denies_everywhere(const Rule& rule) {
  return !rule.allow && std::ranges::any_of(rule.targets, [](const TargetPattern& target) {
    return std::holds_alternative<Any>(target.host) && target.ports.empty();
  });
}

// The words and prefixes of rules and the numbers of their lists, while they are gathered.
struct Words {
  using Prefixes = std::map<std::pair<Address, std::uint8_t>, Number>;

  template <class Word>
  Number word(WordKind kind, const Word& word) {
    return number(words, word_hash(kind, word));
  }
  Number name(WordKind kind, const HostName& name) {
    label_counts.set(static_cast<std::size_t>(std::ranges::count(name.text(), '.')) + 1);
    return word(kind, name);
  }
  Number source(const Cidr& prefix) { return number(sources, std::pair(prefix.base, prefix.length)); }
  Number target(const Cidr& prefix) { return number(targets, std::pair(prefix.base, prefix.length)); }

  template <class Map>
  Number number(Map& map, const typename Map::key_type& word) {
    const auto [found, inserted] = map.try_emplace(word, count);
    if (inserted) ++count;
    return found->second;
  }

  std::unordered_map<std::uint64_t, Number> words;
  Prefixes sources;
  Prefixes targets;
  std::bitset<limits::name_octets_max / 2 + 2> label_counts;
  Number count = first_word;
};

// Each of the following gives lists of which every question that the rule may match reads one; nothing where such
// questions have no word in common. No list at all: there is no such question.

std::optional<Numbers> who_lists(const Rule& rule, Words& words) {
  Numbers lists;
  for (const Who& who : rule.who) {
    const auto list = std::visit(
        Overloaded{
            [](Anyone) -> std::optional<Number> { return std::nullopt; },
            [](Anonymous) -> std::optional<Number> { return anonymous_clients; },
            [](Authenticated) -> std::optional<Number> { return authenticated_clients; },
            [&](const User& user) -> std::optional<Number> { return words.word(WordKind::user, user.name); },
            [&](const Group& group) -> std::optional<Number> { return words.word(WordKind::group, group.name); },
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
      [&](const ExactName& exact) { lists.push_back(words.name(WordKind::name, exact.name)); },
      [&](const NamesBelow& below) { lists.push_back(words.name(WordKind::names_below, below.name)); },
      [&](const ListRef&) { told = false; },  // has too many words
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
        lists.push_back(words.word(WordKind::port, std::uint64_t{port}));
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
  void write(const std::vector<Numbers>& lists_of_rules, const Words& words);

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
  write(lists_of_rules, words);
}

void RuleFiler::write(const std::vector<Numbers>& lists_of_rules, const Words& words) {
  std::vector<List> lists(words.count);
  for (const Numbers& numbers : lists_of_rules) {
    for (const Number number : numbers) ++lists[number].length;
  }
  std::uint32_t end = 0;
  for (List& list : lists) list.begin = std::exchange(end, end + std::exchange(list.length, 0));
  file_.filed_.resize(end);
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    for (const Number number : lists_of_rules[i]) {
      List& list = lists[number];
      file_.filed_[list.begin + list.length++] = {.rule = static_cast<std::uint32_t>(i), .sieve = sieve_of(rules_[i])};
    }
  }
  std::copy_n(lists.begin(), file_.fixed_.size(), file_.fixed_.begin());
  std::vector<std::pair<std::uint64_t, List>> of_words;
  for (const auto& [hash, number] : words.words) of_words.emplace_back(hash, lists[number]);
  file_.words_.emplace(of_words);
  file_.label_counts_ = words.label_counts;
  for (const auto& [prefix, number] : words.sources) file_.sources_.add({prefix.first, prefix.second}, lists[number]);
  for (const auto& [prefix, number] : words.targets) file_.targets_.add({prefix.first, prefix.second}, lists[number]);
  file_.sources_.seal();
  file_.targets_.seal();
}

// The answer so far of one question.
class RuleFile::Walk {
 public:
  Walk(const std::vector<Rule>& rules, const std::vector<Filed>& filed, const Question& question)
      : rules_(rules), filed_(filed), question_(question), sieve_(sieve_of(question)), end_(rules.size()) {}

  // Looks for a rule before the one found so far.
  void read(List list) {
    for (const Filed& filed : std::span(filed_).subspan(list.begin, list.length)) {
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
  const std::vector<Filed>& filed_;
  const Question& question_;
  std::uint32_t sieve_;
  std::size_t end_;
  Decider found_;
};

// Reads the lists of words. They are asked for a few at a time, so that the memory they lie in is fetched at once.
class RuleFile::WordReader {
 public:
  WordReader(const WordLists& words, Walk& walk) : words_(words), walk_(walk) {}

  void add(std::uint64_t hash) {
    if (count_ == hashes_.size()) finish();
    words_.prefetch(hash);
    hashes_[count_++] = hash;
  }
  void finish() {
    for (const std::uint64_t hash : std::span(hashes_).first(std::exchange(count_, 0))) {
      words_.visit(hash, [&](List list) { walk_.read(list); });
    }
  }

 private:
  const WordLists& words_;
  Walk& walk_;
  std::array<std::uint64_t, 16> hashes_;
  std::size_t count_ = 0;
};

RuleFile::RuleFile(const std::vector<Rule>& rules, Knowledge knowledge, std::size_t scanned) {
  RuleFiler(rules, knowledge, *this).file(rules.size() > scanned);
}

std::optional<Decider> RuleFile::first(const std::vector<Rule>& rules, const Question& question) const {
  Walk walk(rules, filed_, question);
  walk.read(fixed_[every_question]);
  if (fixed_[every_question].length == filed_.size()) return walk.found();
  WordReader words(*words_, walk);
  read_client(walk, words, question.who);
  if (question.host_name != nullptr && label_counts_.any()) read_name(words, *question.host_name);
  if (has_port(question.command)) {
    words.add(word_hash(WordKind::port, std::uint64_t{question.port}));
  } else {
    walk.read(fixed_[without_port]);
  }
  read_source(walk, question);
  if (question.address) read_address(walk, *question.address);
  words.finish();
  return walk.found();
}

void RuleFile::read_client(Walk& walk, WordReader& words, const Identity& who) const {
  if (who.is_anonymous()) return walk.read(fixed_[anonymous_clients]);
  walk.read(fixed_[authenticated_clients]);
  words.add(word_hash(WordKind::user, who.user()));
  for (const std::string& group : who.groups()) words.add(word_hash(WordKind::group, group));
}

void RuleFile::read_source(Walk& walk, const Question& question) const {
  const auto read_class = [&](TargetClass named) { walk.read(fixed_[list_of(source_classes, named)]); };
  for (const Facet& facet : question.source) {
    read_class(class_prefix_of(facet.address).target_class);
    if (facet.target_class == TargetClass::metadata) read_class(TargetClass::metadata);
    sources_.visit(facet.address, [&](List list) { walk.read(list); });
  }
  if (question.source_is_self) read_class(TargetClass::self);
}

void RuleFile::read_name(WordReader& words, const HostName& name) const {
  for (NameSuffixes suffixes(name.text(), point); suffixes.next();) {
    if (!label_counts_.test(suffixes.labels())) continue;
    words.add(word_hash(suffixes.whole() ? WordKind::name : WordKind::names_below, suffixes.hash()));
  }
}

void RuleFile::read_address(Walk& walk, const FacetSet& facets) const {
  for (const Facet& facet : facets) {
    walk.read(fixed_[list_of(target_classes, facet.target_class)]);
    targets_.visit(facet.address, [&](List list) { walk.read(list); });
  }
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
