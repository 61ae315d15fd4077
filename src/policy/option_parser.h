// The options at the end of a rule, in any order: reads them to the end of the line and reports every fault with its
// place. A fault ends its option; the next word that begins one goes on. Pure. Tested in options_test.cc.
// Behind a deny only `when` and `log` may stand: nothing passes that the others could be about.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/options.h"
#include "policy/patterns.h"
#include "policy/tokens.h"

namespace stile::policy {

class OptionParser {
 public:
  /// `tokens` begin with an option's word. All must outlive the parser.
  OptionParser(std::span<const Token> tokens, int line_number, bool allow, std::vector<RuleError>& errors)
      : tokens_(tokens), line_number_(line_number), allow_(allow), errors_(errors) {}

  /// What is returned counts only when no fault was reported.
  [[nodiscard]] Options parse();

 private:
  [[nodiscard]] const Token* peek() const { return position_ < tokens_.size() ? &tokens_[position_] : nullptr; }
  const Token* take_word(std::string_view what);
  bool parse_option(const Token& word);
  bool parse_via();
  bool parse_rate(const Token& word);
  bool parse_sessions(const Token& word);
  bool parse_quota(const Token& word);
  bool parse_when();
  bool parse_log();
  // `[per …]`; nothing after a fault.
  std::optional<Scope> parse_scope(bool tunnel_too);
  template <class Value, class Parse>
  bool parse_once(const Token& word, std::optional<Value>& stored, std::string_view what, Parse parse_value);
  bool expect_once(const Token& word, bool is_first);

  bool report(int column, std::string message);
  bool report(const Token& token, const Fault& fault) {
    return report(token.column + static_cast<int>(fault.offset), fault.message);
  }

  std::span<const Token> tokens_;
  int line_number_;
  bool allow_;
  std::vector<RuleError>& errors_;
  std::size_t position_ = 0;
  Options options_;
  bool via_given_ = false;
  bool log_given_ = false;
};

}  // namespace stile::policy
