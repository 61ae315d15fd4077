// The fields of an HTTP head (RFC 9110 section 5) as a list in the order in which they came, and the few questions that
// a proxy asks of it.
// Refuses: to know what fields mean. Names are compared without case, values octet for octet.
// Threading: values and pure functions. Tested in http_fields_test.cc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stile::wire {

struct HttpField {
  std::string name;   // a token, as sent
  std::string value;  // without the white space around it; any octets but controls, TAB excepted

  friend bool operator==(const HttpField&, const HttpField&) = default;
};

using HttpFields = std::vector<HttpField>;

/// RFC 9110 section 5.6.2: tchar.
[[nodiscard]] bool is_token_octet(char octet) noexcept;
/// At least one octet, all of them token octets.
[[nodiscard]] bool is_token(std::string_view text) noexcept;
/// RFC 9110 section 5.5: visible, blank or beyond ASCII.
[[nodiscard]] bool is_field_text(std::string_view text) noexcept;

/// Equal but for the case of ASCII letters.
[[nodiscard]] bool equals_ignoring_case(std::string_view left, std::string_view right) noexcept;

/// Without spaces and tabs at either end.
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;

[[nodiscard]] std::size_t count_fields(const HttpFields& fields, std::string_view name) noexcept;
/// The first of that name, or null.
[[nodiscard]] const HttpField* find_field(const HttpFields& fields, std::string_view name) noexcept;

/// The elements of all fields of that name, read as comma-separated lists (RFC 9110 section 5.6.1): trimmed, empty ones
/// included, since where a length hangs on it they must not pass. Points into `fields`.
[[nodiscard]] std::vector<std::string_view> list_elements(const HttpFields& fields, std::string_view name);

[[nodiscard]] bool list_contains(const HttpFields& fields, std::string_view name, std::string_view element);

}  // namespace stile::wire
