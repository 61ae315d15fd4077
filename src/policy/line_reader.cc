#include "policy/line_reader.h"

#include <algorithm>

#include "policy/words.h"

namespace stile::policy {

bool LineReader::skip_word(std::string_view word) {
  if (!at_word(word)) return false;
  advance();
  return true;
}

const Token* LineReader::take_word(std::string_view what, std::span<const std::string_view> others) {
  const Token* const token = peek();
  const bool missing = token == nullptr || token->is_comma();
  if (missing || std::ranges::find(others, token->text) != others.end()) {
    report(column(), "expected " + std::string(what) + (missing ? "" : ", found " + quoted(token->text)));
    return nullptr;
  }
  advance();
  return token;
}

int LineReader::column() const {
  if (peek() != nullptr) return peek()->column;
  return tokens_.back().column + static_cast<int>(tokens_.back().text.size());
}

}  // namespace stile::policy
