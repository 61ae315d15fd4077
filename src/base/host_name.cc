// The canonicaliser of host names: security reference, section 4.1, whose step numbers stand below.
#include <algorithm>

#include "base/address.h"
#include "base/limits.h"

namespace stile {
namespace {

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_upper(char c) noexcept {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_lower_hex(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

constexpr bool is_host_octet(char c) noexcept {
  return is_lower(c) || is_upper(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || c == ':';
}

std::unexpected<HostError> rejected(HostRejection rejection, std::uint8_t octet = 0) noexcept {
  return std::unexpected(HostError{.rejection = rejection, .octet = octet});
}

std::string_view without_brackets(std::string_view text) noexcept {
  const bool enclosed = text.size() >= 2 && text.front() == '[' && text.back() == ']';
  if (!enclosed || text.find(':') == std::string_view::npos) return text;
  return text.substr(1, text.size() - 2);
}

std::string folded(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string folded_text(text);
  for (char& c : folded_text) {
    if (is_upper(c)) c = static_cast<char>(c - 'A' + 'a');
  }
  return folded_text;
}

bool has_empty_label(std::string_view name) noexcept {
  return name.empty() || name.starts_with('.') || name.ends_with('.') || name.find("..") != std::string_view::npos;
}

std::size_t longest_label(std::string_view name) noexcept {
  std::size_t longest = 0;
  for (;;) {
    const std::size_t dot = name.find('.');
    longest = std::max(longest, std::min(dot, name.size()));
    if (dot == std::string_view::npos) return longest;
    name.remove_prefix(dot + 1);
  }
}

/// True where a legacy address parser would take the name for a number: 127.1, 0x7f000001, 2130706433.
bool ends_in_number(std::string_view name) noexcept {
  const std::size_t dot = name.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  if (last.starts_with("0x")) return std::ranges::all_of(last.substr(2), is_lower_hex);
  return std::ranges::all_of(last, is_digit);
}

}  // namespace

/// The only maker of host names.
class HostCanonicaliser {
 public:
  static std::expected<Host, HostError> canonicalise(std::string_view received) {
    if (received.empty()) return rejected(HostRejection::empty);  // step 1
    const std::string_view text = without_brackets(received);     // step 2
    const auto bad = std::ranges::find_if_not(text, is_host_octet);
    if (bad != text.end()) return rejected(HostRejection::bad_byte, static_cast<std::uint8_t>(*bad));
    if (text.find(':') != std::string_view::npos) {  // step 3
      if (const auto address = Address::parse(text)) return Host(*address);
      return rejected(HostRejection::bad_colon);
    }
    std::string name = folded(text);                                         // step 4
    if (has_empty_label(name)) return rejected(HostRejection::empty_label);  // step 5
    if (longest_label(name) > limits::label_octets_max) return rejected(HostRejection::label_too_long);
    if (name.size() > limits::name_octets_max) return rejected(HostRejection::name_too_long);
    if (name.front() == '-') return rejected(HostRejection::leading_hyphen);  // step 6
    if (ends_in_number(name)) {                                               // step 7
      // The text as received: a trailing dot makes no dotted quad.
      if (const auto address = Address::parse(text)) return Host(*address);
      return rejected(HostRejection::numeric);
    }
    return Host(HostName(std::move(name)));
  }
};

bool HostName::is_or_below(std::string_view name) const noexcept {
  if (!text_.ends_with(name)) return false;
  return text_.size() == name.size() || text_[text_.size() - name.size() - 1] == '.';
}

std::string_view name(HostRejection rejection) noexcept {
  switch (rejection) {
    case HostRejection::empty:
      return "empty";
    case HostRejection::bad_byte:
      return "bad-byte";
    case HostRejection::bad_colon:
      return "bad-colon";
    case HostRejection::empty_label:
      return "empty-label";
    case HostRejection::label_too_long:
      return "label-too-long";
    case HostRejection::name_too_long:
      return "name-too-long";
    case HostRejection::leading_hyphen:
      return "leading-hyphen";
    case HostRejection::numeric:
      return "numeric";
  }
  assertion_failed("HostRejection in range", __FILE__, __LINE__);
}

std::expected<Host, HostError> canonical_host(std::string_view text) {
  return HostCanonicaliser::canonicalise(text);
}

}  // namespace stile
