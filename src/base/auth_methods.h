// How clients may show who they are, as a listener offers it: a short list in order of preference. Values; pure.
// Tested in auth_methods_test.cc.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

#include "base/assert.h"

namespace stile {

/// `none`: clients that show nothing are admitted, as anonymous or as whom the kernel names. `certificate`: as whom the
/// certificate names that they have shown in the TLS handshake; nothing more is asked of them. `gssapi`: as their
/// Kerberos ticket says (RFC 1961). The others judge a name and a password: by the users file, by PAM, or by a program
/// of the operator's.
enum class AuthMethod : std::uint8_t { none, password, pam, command, certificate, gssapi };
inline constexpr std::size_t auth_method_count = static_cast<std::size_t>(AuthMethod::gssapi) + 1;

/// It judges a name and a password.
[[nodiscard]] constexpr bool judges_passwords(AuthMethod method) noexcept {
  return method == AuthMethod::password || method == AuthMethod::pam || method == AuthMethod::command;
}

[[nodiscard]] constexpr std::string_view name(AuthMethod method) noexcept {
  constexpr std::array<std::string_view, auth_method_count> names{"none",    "password",    "pam",
                                                                  "command", "certificate", "gssapi"};
  return names[static_cast<std::size_t>(method)];
}

[[nodiscard]] constexpr std::optional<AuthMethod> auth_method_named(std::string_view word) noexcept {
  for (std::size_t i = 0; i < auth_method_count; ++i) {
    if (name(static_cast<AuthMethod>(i)) == word) return static_cast<AuthMethod>(i);
  }
  return std::nullopt;
}

class AuthMethods {
 public:
  constexpr AuthMethods() noexcept = default;
  /// Each at most once (asserted).
  constexpr AuthMethods(std::initializer_list<AuthMethod> methods) noexcept {
    for (const AuthMethod method : methods) add(method);
  }

  constexpr void add(AuthMethod method) noexcept {
    STILE_ASSERT(!admits(method));
    order_[count_++] = method;
  }
  [[nodiscard]] constexpr bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] constexpr bool admits(AuthMethod method) const noexcept {
    return std::ranges::find(in_order(), method) != in_order().end();
  }
  /// Clients without a user and password are admitted.
  [[nodiscard]] constexpr bool admits_without_password() const noexcept {
    return admits(AuthMethod::none) || admits(AuthMethod::certificate);
  }
  /// Who judges a name and a password, which is one method to a client (RFC 1929, or HTTP's Basic scheme): the first of
  /// those that do. Absent where no password is asked for.
  [[nodiscard]] constexpr std::optional<AuthMethod> password_judge() const noexcept {
    for (const AuthMethod method : in_order()) {
      if (judges_passwords(method)) return method;
    }
    return std::nullopt;
  }
  [[nodiscard]] constexpr std::span<const AuthMethod> in_order() const noexcept {
    return std::span(order_).first(count_);
  }

  friend constexpr bool operator==(const AuthMethods& left, const AuthMethods& right) noexcept {
    return std::ranges::equal(left.in_order(), right.in_order());
  }

 private:
  std::array<AuthMethod, auth_method_count> order_{};
  std::uint8_t count_ = 0;
};

}  // namespace stile
