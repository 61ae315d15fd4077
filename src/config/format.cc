#include "config/format.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "policy/format.h"

namespace stile::config {
namespace {

// The end of a line as the file has it.
std::string with_line_ends(std::string_view text, bool carriage_return) {
  std::string result;
  for (const char c : text) {
    if (c == '\n' && carriage_return) result += '\r';
    result += c;
  }
  return result;
}

class Formatter {
 public:
  explicit Formatter(std::string_view text) : text_(text) {}

  std::expected<std::string, std::vector<ConfigError>> format() {
    PolicyTexts texts = policy_texts(text_);
    if (texts.fault) return std::unexpected(std::vector<ConfigError>{std::move(*texts.fault)});
    replace(texts.rules, policy::format_rules);
    replace(texts.expect, policy::format_expectations);
    if (!errors_.empty()) {
      std::ranges::sort(errors_, {}, [](const ConfigError& e) { return std::tie(e.line, e.column); });
      return std::unexpected(std::move(errors_));
    }
    // From the back, so that positions in front stay true.
    std::ranges::sort(changes_, std::greater{}, &Change::begin);
    std::string result(text_);
    for (const Change& change : changes_) result.replace(change.begin, change.length, change.text);
    return result;
  }

 private:
  struct Change {
    std::size_t begin = 0;
    std::size_t length = 0;
    std::string text;
  };

  template <class Format>
  void replace(std::string_view body, Format format_text) {
    if (body.empty()) return;
    const auto begin = static_cast<std::size_t>(body.data() - text_.data());
    auto formatted = format_text(body);
    if (!formatted) {
      for (policy::RuleError& e : formatted.error()) errors_.push_back(place(begin, std::move(e)));
      return;
    }
    const bool carriage_return = body.find("\r\n") != std::string_view::npos;
    changes_.push_back({begin, body.size(), with_line_ends("\n" + *formatted, carriage_return)});
  }

  // The body's first line begins behind the quotes.
  [[nodiscard]] ConfigError place(std::size_t begin, policy::RuleError&& error) const {
    const std::string_view before = text_.substr(0, begin);
    const auto lines = static_cast<int>(std::ranges::count(before, '\n'));
    const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    const int indent = error.line == 1 ? static_cast<int>(begin - line_begin) : 0;
    return {lines + error.line, indent + error.column, std::move(error.message)};
  }

  std::string_view text_;
  std::vector<Change> changes_;
  std::vector<ConfigError> errors_;
};

}  // namespace

std::expected<std::string, std::vector<ConfigError>> format(std::string_view text) {
  return Formatter(text).format();
}

}  // namespace stile::config
