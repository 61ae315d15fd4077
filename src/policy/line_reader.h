// A place in the words of one line, and the list of faults found so far: what the parsers of rules, their options and
// expectations share. Pure. Tested through them.
#pragma once

#include <expected>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/patterns.h"
#include "policy/tokens.h"

namespace stile::policy {

class LineReader {
 public:
  /// Both must outlive the reader; there is at least one token.
  LineReader(std::span<const Token> tokens, int line_number, std::vector<RuleError>& errors)
      : tokens_(tokens), line_number_(line_number), errors_(errors) {}

  /// The present word or comma; nullptr at the end of the line.
  [[nodiscard]] const Token* peek() const { return position_ < tokens_.size() ? &tokens_[position_] : nullptr; }
  /// The one behind it.
  [[nodiscard]] const Token* peek_second() const {
    return position_ + 1 < tokens_.size() ? &tokens_[position_ + 1] : nullptr;
  }
  [[nodiscard]] bool at_comma() const { return peek() != nullptr && peek()->is_comma(); }
  [[nodiscard]] bool at_word(std::string_view word) const { return peek() != nullptr && peek()->text == word; }
  [[nodiscard]] bool word_follows() const { return peek_second() != nullptr && !peek_second()->is_comma(); }
  void advance(std::size_t count = 1) { position_ += count; }
  /// Goes past `word` where it is the present one.
  bool skip_word(std::string_view word);

  /// The present word, gone past. Where there is none, or one of `others`, which mean something else: a fault that says
  /// that `what` is missing, and nullptr.
  const Token* take_word(std::string_view what, std::span<const std::string_view> others = {});

  /// ITEM, ITEM, …: a fault in one goes on behind the next comma. False after a fault in the structure.
  template <class Item, class Parse>
  bool take_list(std::vector<Item>& items, std::string_view what, std::span<const std::string_view> others,
                 Parse parse_item);

  void report(int column, std::string message) {
    errors_.push_back({.line = line_number_, .column = column, .message = std::move(message)});
  }
  void report(const Token& token, const Fault& fault) {
    report(token.column + static_cast<int>(fault.offset), fault.message);
  }
  /// Where the present word stands, or what is missing at the end.
  [[nodiscard]] int column() const;

 private:
  std::span<const Token> tokens_;
  int line_number_;
  std::vector<RuleError>& errors_;
  std::size_t position_ = 0;
};

template <class Item, class Parse>
bool LineReader::take_list(std::vector<Item>& items, std::string_view what, std::span<const std::string_view> others,
                           Parse parse_item) {
  for (;;) {
    const Token* const word = take_word(what, others);
    if (word == nullptr) return false;
    if (auto item = parse_item(word->text)) {
      items.push_back(std::move(*item));
    } else {
      report(*word, item.error());
    }
    if (!at_comma()) return true;
    advance();
  }
}

}  // namespace stile::policy
