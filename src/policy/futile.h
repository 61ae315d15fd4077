// Rules that do nothing: those that no request can match, and those whose every request an earlier rule decides. Sound,
// not complete: a rule that is named here could be taken away without changing what anybody reaches; many that could
// are not named. Pure. Tested in futile_test.cc against decisions without the rule.
#pragma once

#include <vector>

#include "policy/rules.h"

namespace stile::policy {

/// One sentence a rule, in rule order. Of the rules before it, the first thousand are looked at.
[[nodiscard]] std::vector<RuleError> futile_rules(const RuleSet& rules);

}  // namespace stile::policy
