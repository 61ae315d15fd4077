// Why a policy decides as it does: for the log of denials and for `stile explain`. Uses the evaluator that decides
// (match.h), so the two cannot disagree. Pure; any thread. For the operator's eyes only: never sent to a client.
// Tested in explain_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/facets.h"
#include "policy/match.h"
#include "policy/policy.h"

namespace stile::policy {

/// A rule that failed in one thing only, other than being about another target.
struct NearMiss {
  RuleInfo rule;
  Mismatch why = Mismatch::none;
  std::string detail;  // a sentence: "10.1.2.3 is private, which the rule does not open"
};

struct Explanation {
  Verdict verdict;
  std::optional<RuleInfo> rule;       // the rule that decided
  std::vector<Facet> facets;          // what the target address is, and what it embeds; empty while it is unknown
  std::vector<std::string> options;   // what that rule adds, as rules have it
  std::vector<NearMiss> near_misses;  // of the rules walked before the decision, in file order
  /// For a denial that rules may lift: the narrowest rule that would allow it, to stand before all others.
  std::string opening_rule;
};

/// The same verdict as `policy.decide(query, own)`, with its grounds.
[[nodiscard]] Explanation explain(const Policy& policy, const Query& query, const OwnAddresses& own);

/// Lines of text for a person, each ended by a newline. `file` is where the rules stand; empty: they say "line N".
/// `more`: whole lines of who knows more about what the rule's options mean, which come behind them.
[[nodiscard]] std::string to_text(const Explanation& explanation, const Query& query, std::string_view file = "",
                                  std::string_view more = "");

}  // namespace stile::policy
