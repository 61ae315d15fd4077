// The words of one line of rules. Pure; no allocation but the result. A comment runs from `#` to the end of the line;
// commas stand alone; a quoted part keeps its spaces, commas and `#`. Tested in rules_test.cc.
#pragma once

#include <expected>
#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace stile::policy {

struct Token {
  std::string_view text;  // as written, quotes included; "," for a comma
  int column = 0;         // 1-based, in octets

  [[nodiscard]] bool is_comma() const noexcept { return text == ","; }
  [[nodiscard]] bool is_quoted() const noexcept { return text.starts_with('"'); }
};

struct LineTokens {
  std::vector<Token> tokens;
  std::string_view text;  // the line without its comment and surrounding space
};

/// Fails on a quote that does not end and on control octets.
[[nodiscard]] std::expected<LineTokens, RuleError> tokenize(std::string_view line, int line_number);

}  // namespace stile::policy
