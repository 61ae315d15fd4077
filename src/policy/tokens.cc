#include "policy/tokens.h"

namespace stile::policy {
namespace {

constexpr bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\r';
}

constexpr bool is_control(char c) noexcept {
  const auto octet = static_cast<unsigned char>(c);
  return octet < 0x20 || octet == 0x7F;
}

int column_of(std::size_t position) noexcept {
  return static_cast<int>(position) + 1;
}

// The position behind the word that begins at `start`; npos when a quote in it does not end.
std::size_t end_of_word(std::string_view line, std::size_t start) noexcept {
  std::size_t end = start;
  while (end < line.size() && !is_space(line[end]) && line[end] != ',' && line[end] != '#') {
    if (line[end] == '"') {
      end = line.find('"', end + 1);
      if (end == std::string_view::npos) return end;
    }
    ++end;
  }
  return end;
}

}  // namespace

std::expected<LineTokens, RuleError> tokenize(std::string_view line, int line_number) {
  LineTokens result;
  std::size_t position = 0;
  while (position < line.size() && line[position] != '#') {
    if (is_space(line[position])) {
      ++position;
      continue;
    }
    const std::size_t end = line[position] == ',' ? position + 1 : end_of_word(line, position);
    if (end == std::string_view::npos) {
      return std::unexpected(
          RuleError{.line = line_number, .column = column_of(position), .message = "a quote does not end"});
    }
    for (std::size_t i = position; i < end; ++i) {
      if (!is_control(line[i])) continue;
      return std::unexpected(
          RuleError{.line = line_number, .column = column_of(i), .message = "a control character in a rule"});
    }
    result.tokens.push_back({.text = line.substr(position, end - position), .column = column_of(position)});
    position = end;
  }
  if (!result.tokens.empty()) {
    const Token& first = result.tokens.front();
    const Token& last = result.tokens.back();
    const auto length = static_cast<std::size_t>(last.text.data() + last.text.size() - first.text.data());
    result.text = line.substr(static_cast<std::size_t>(first.column) - 1, length);
  }
  return result;
}

}  // namespace stile::policy
