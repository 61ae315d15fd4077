// "Did you mean …": the known word that a mistyped one most probably stands for. For configuration keys, command-line
// flags and words of the policy language. Pure; tested in nearest_test.cc.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace stile {

/// The known word with the fewest edits from `word` (insert, delete, replace, swap of neighbours; letters compare
/// without case, `-` equals `_`). Nothing when every known word needs more edits than a third of the length of `word`,
/// at least one: a guess that far off misleads. Of equals the first. Long input is not compared at all.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace stile
