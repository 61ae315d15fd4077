// Rules and expectations in one layout: columns that line up within a paragraph, one space between words, a comma
// behind its word, comments kept. Only space changes: the words of the result are those of the text, so it means the
// same, and formatted again it stays as it is. Needs nothing but the words, so that faulty rules can be laid out as
// well. Pure. Tested in format_test.cc, fuzzed in format_fuzz.cc.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace stile::policy {

/// Faults are those of the words alone: a quote that does not end, a control character.
[[nodiscard]] std::expected<std::string, std::vector<RuleError>> format_rules(std::string_view text);
[[nodiscard]] std::expected<std::string, std::vector<RuleError>> format_expectations(std::string_view text);

}  // namespace stile::policy
