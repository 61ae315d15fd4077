// The number of a session as records print it and PROXY headers carry it (TLV 05): sixteen hexadecimal digits, so that
// the records of several servers can be joined. Pure. Tested in session_id_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stile {

[[nodiscard]] inline std::string session_text(std::uint64_t session) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = text.size(); i > 0; --i, session >>= 4) text[i - 1] = digits[session & 15];
  return text;
}

/// Nothing for any other text: others put their own identifiers there.
[[nodiscard]] inline std::optional<std::uint64_t> parse_session(std::string_view text) noexcept {
  if (text.size() != 16) return std::nullopt;
  std::uint64_t session = 0;
  for (const char c : text) {
    const bool letter = c >= 'a' && c <= 'f';
    if (!letter && (c < '0' || c > '9')) return std::nullopt;
    session = session << 4 | static_cast<std::uint64_t>(letter ? c - 'a' + 10 : c - '0');
  }
  if (session == 0) return std::nullopt;
  return session;
}

}  // namespace stile
