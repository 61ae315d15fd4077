// Whole numbers in decimal digits, as people and protocols write them. Refuses: signs, blanks, anything behind the
// digits. Pure. Tested in number_test.cc.
#pragma once

#include <charconv>
#include <concepts>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace stile {

/// All of `text`, where it is at most `most`; leading zeros are digits.
template <std::unsigned_integral Number>
[[nodiscard]] std::optional<Number> whole_number(
    std::string_view text, std::type_identity_t<Number> most = std::numeric_limits<Number>::max()) noexcept {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number > most) return std::nullopt;
  return number;
}

/// In its only spelling: without leading zeros.
template <std::unsigned_integral Number>
[[nodiscard]] std::optional<Number> plain_number(
    std::string_view text, std::type_identity_t<Number> most = std::numeric_limits<Number>::max()) noexcept {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return whole_number<Number>(text, most);
}

}  // namespace stile
