// Inside networks that no rule opens: an address there, asked for as such, is refused to everybody. Sound, not
// complete: no network that some rule opens a part of is named. Pure. Tested in unopened_test.cc against decisions.
#pragma once

#include <vector>

#include "base/address.h"
#include "policy/rules.h"

namespace stile::policy {

/// Of the soft classes' prefixes (private, cgnat) those in which no allow of tcp can match an address literal.
[[nodiscard]] std::vector<Cidr> unopened_networks(const RuleSet& rules);

}  // namespace stile::policy
