// The compiled form of the rules: each rule is filed under its rarest word (a user, a name, a prefix, a port, …), so
// that a question meets only the rules that share a word with it, however many there are. Which of them decides is
// match.h's to say: the index leaves out only rules that cannot match, and the answer is that of a walk over all rules
// in file order. No allocation to answer. Pure; immutable, any thread.
// Refuses to outlive the rules. Tested against that walk in policy_model_test.cc, measured in policy_bench.cc.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/limits.h"
#include "policy/match.h"
#include "policy/prefix_tree.h"
#include "policy/rules.h"
#include "policy/word_lists.h"

namespace stile::policy {

/// The rule that decides a question, and how sure it is: never `no`, and never an unsure deny, which changes nothing.
struct Decider {
  std::uint32_t rule = 0;
  Certainty certainty = Certainty::no;

  friend bool operator==(const Decider&, const Decider&) = default;
};

/// What a question knows. Other words of a rule count for each.
enum class Knowledge : std::uint8_t {
  address,   // the address to be dialled
  name,      // a name that is not resolved yet
  anywhere,  // no target at all
};

/// The rules as questions of one knowledge meet them.
class RuleFile {
 public:
  /// Up to `scanned` rules are not worth a look at their words: they are walked.
  RuleFile(const std::vector<Rule>& rules, Knowledge knowledge, std::size_t scanned);

  [[nodiscard]] std::optional<Decider> first(const std::vector<Rule>& rules, const Question& question) const;

 private:
  friend class RuleFiler;

  // A rule in a list, with what tells at a glance that it does not match: one bit set in each field of the question's
  // own sieve, or the rule is passed over.
  struct Filed {
    std::uint32_t rule = 0;
    std::uint32_t sieve = 0;
  };
  class Walk;
  class WordReader;

  void read_client(Walk& walk, WordReader& words, const Identity& who) const;
  void read_source(Walk& walk, const Question& question) const;
  void read_name(WordReader& words, const HostName& name) const;
  void read_address(Walk& walk, const FacetSet& facets) const;

  // Lists that every file has: of all questions, of kinds of clients, of classes.
  static constexpr std::size_t fixed_lists = 4 + 2 * target_class_count;
  std::array<List, fixed_lists> fixed_{};
  std::optional<WordLists> words_;
  std::bitset<limits::name_octets_max / 2 + 2> label_counts_;  // of the names in words_
  PrefixTree<List> sources_;
  PrefixTree<List> targets_;
  std::vector<Filed> filed_;  // list by list, each in file order
};

class PolicyIndex {
 public:
  /// Fewer rules than this are walked faster than looked up.
  static constexpr std::size_t scanned_by_default = 12;

  explicit PolicyIndex(const std::vector<Rule>& rules, std::size_t scanned = scanned_by_default);

  /// The first rule of the file that decides; nothing where none does.
  [[nodiscard]] std::optional<Decider> first(const Question& question) const;

 private:
  const std::vector<Rule>& rules_;
  RuleFile by_address_;
  RuleFile by_name_;
  RuleFile anywhere_;
};

}  // namespace stile::policy
