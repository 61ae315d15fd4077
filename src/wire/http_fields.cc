#include "wire/http_fields.h"

#include <algorithm>

namespace stile::wire {
namespace {

char lower(char octet) noexcept {
  return octet >= 'A' && octet <= 'Z' ? static_cast<char>(octet - 'A' + 'a') : octet;
}

}  // namespace

bool is_token_octet(char octet) noexcept {
  const bool alphanumeric = (octet >= '0' && octet <= '9') || (lower(octet) >= 'a' && lower(octet) <= 'z');
  return alphanumeric || (octet != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(octet) != std::string_view::npos);
}

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, is_token_octet);
}

bool is_field_text(std::string_view text) noexcept {
  return std::ranges::none_of(text, [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return (octet < 0x20 && octet != '\t') || octet == 0x7F;
  });
}

bool equals_ignoring_case(std::string_view left, std::string_view right) noexcept {
  return std::ranges::equal(left, right, [](char a, char b) { return lower(a) == lower(b); });
}

std::string_view trim(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::size_t count_fields(const HttpFields& fields, std::string_view name) noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(fields, [&](const HttpField& field) { return equals_ignoring_case(field.name, name); }));
}

const HttpField* find_field(const HttpFields& fields, std::string_view name) noexcept {
  const auto found =
      std::ranges::find_if(fields, [&](const HttpField& field) { return equals_ignoring_case(field.name, name); });
  return found == fields.end() ? nullptr : &*found;
}

std::vector<std::string_view> list_elements(const HttpFields& fields, std::string_view name) {
  std::vector<std::string_view> elements;
  for (const HttpField& field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    for (;;) {
      const std::size_t comma = rest.find(',');
      elements.push_back(trim(rest.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return elements;
}

bool list_contains(const HttpFields& fields, std::string_view name, std::string_view element) {
  return std::ranges::any_of(list_elements(fields, name),
                             [&](std::string_view one) { return equals_ignoring_case(one, element); });
}

}  // namespace stile::wire
