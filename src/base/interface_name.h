// The name of a network interface of this host, as people write it. A value; pure: whether there is such an interface
// is the system's to say. Tested in egress_test.cc.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace stile {

class InterfaceName {
 public:
  static constexpr std::size_t octets_max = 15;  // Linux IFNAMSIZ, without its NUL

  /// None.
  constexpr InterfaceName() noexcept = default;

  /// Letters, digits, '-', '_' and '.', with a letter among them: less than the kernel takes, so that a mistyped
  /// address is not one.
  [[nodiscard]] static constexpr std::optional<InterfaceName> parse(std::string_view text) noexcept {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto fits = [&](char c) {
      return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    };
    if (text.size() > octets_max || !std::ranges::all_of(text, fits) || !std::ranges::any_of(text, is_letter)) {
      return std::nullopt;
    }
    InterfaceName name;
    std::ranges::copy(text, name.text_.begin());
    return name;
  }

  [[nodiscard]] constexpr bool empty() const noexcept { return text_.front() == '\0'; }
  /// A NUL stands behind it.
  [[nodiscard]] constexpr std::string_view text() const noexcept { return text_.data(); }

  friend constexpr bool operator==(const InterfaceName&, const InterfaceName&) = default;

 private:
  std::array<char, octets_max + 1> text_{};
};

}  // namespace stile
