#include "policy/rules.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "policy/option_parser.h"
#include "policy/patterns.h"
#include "policy/tokens.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

constexpr auto action_words = std::to_array<std::string_view>({"allow", "deny"});
constexpr auto source_and_target_words = std::to_array<std::string_view>({"from", "to"});
constexpr auto target_words = std::to_array<std::string_view>({"to"});

// One rule. A fault inside a list goes on behind the next comma, so that one pass reports them all; a fault in the
// structure ends the rule.
class RuleParser {
 public:
  RuleParser(const LineTokens& line, int line_number, const Lists& lists, std::vector<RuleError>& errors)
      : tokens_(line.tokens), line_number_(line_number), lists_(lists), errors_(errors) {}

  // NAME: in front, if there is one.
  std::optional<Token> parse_rule_name();
  // The rest. Nothing after a structural fault; what is returned counts only when no fault at all was reported.
  std::optional<Rule> parse();

 private:
  [[nodiscard]] const Token* peek() const { return position_ < tokens_.size() ? &tokens_[position_] : nullptr; }
  [[nodiscard]] bool at_comma() const { return peek() != nullptr && peek()->is_comma(); }
  [[nodiscard]] bool at_word(std::string_view word) const { return peek() != nullptr && peek()->text == word; }
  // The word behind the present one, where that is no comma.
  [[nodiscard]] bool word_follows() const {
    return position_ + 1 < tokens_.size() && !tokens_[position_ + 1].is_comma();
  }
  // The next word, or a fault that says that `what` is missing.
  const Token* take_word(std::string_view what);
  template <class Item, class Parse>
  bool parse_list(std::vector<Item>& items, std::string_view what, Parse parse_item);
  bool expect_word(std::string_view word, std::span<const std::string_view> known);
  bool parse_action(Rule& rule);
  void parse_commands(Rule& rule);
  bool parse_targets(Rule& rule);
  void parse_target(Rule& rule, const Token& word);
  [[nodiscard]] std::expected<HostPattern, Fault> parse_target_host(std::string_view host) const;
  void parse_more_ports(TargetPattern& target);
  void parse_port_item(TargetPattern& target, std::string_view text, int column);
  bool expect_end_of_target(const Token& target, bool first);

  void report(int column, std::string message) {
    errors_.push_back({.line = line_number_, .column = column, .message = std::move(message)});
  }
  void report(const Token& token, Fault fault) {
    report(token.column + static_cast<int>(fault.offset), std::move(fault.message));
  }
  [[nodiscard]] int end_column() const {
    return tokens_.empty() ? 1 : tokens_.back().column + static_cast<int>(tokens_.back().text.size());
  }

  const std::vector<Token>& tokens_;
  int line_number_;
  const Lists& lists_;
  std::vector<RuleError>& errors_;
  std::size_t position_ = 0;
};

std::optional<Token> RuleParser::parse_rule_name() {
  const Token& first = tokens_.front();
  if (first.is_quoted() || !first.text.ends_with(':')) return std::nullopt;
  ++position_;
  const Token name{.text = first.text.substr(0, first.text.size() - 1), .column = first.column};
  if (!is_plain_name(name.text)) {
    report(first.column, "the rule name " + quoted(name.text) + " may hold only letters, digits, '-', '_' and '.'");
  }
  return name;
}

std::optional<Rule> RuleParser::parse() {
  Rule rule;
  if (!parse_action(rule) || !parse_list(rule.who, "a client", parse_who)) return std::nullopt;
  const bool has_sources = at_word("from");
  if (has_sources) {
    ++position_;
    if (!parse_list(rule.sources, "a source", parse_source)) return std::nullopt;
  }
  const std::span<const std::string_view> next =
      has_sources ? std::span<const std::string_view>(target_words) : source_and_target_words;
  if (!expect_word("to", next)) return std::nullopt;
  parse_commands(rule);
  if (!parse_targets(rule)) return std::nullopt;
  if (peek() != nullptr) {
    rule.options = OptionParser(std::span(tokens_).subspan(position_), line_number_, rule.allow, errors_).parse();
  }
  return rule;
}

const Token* RuleParser::take_word(std::string_view what) {
  const Token* token = peek();
  const bool missing = token == nullptr || token->is_comma();
  // Unquoted, these two are never a name: a list that ran into them lacks its last item.
  if (missing || token->text == "from" || token->text == "to") {
    report(token == nullptr ? end_column() : token->column,
           "expected " + std::string(what) + (missing ? "" : ", found " + quoted(token->text)));
    return nullptr;
  }
  ++position_;
  return token;
}

template <class Item, class Parse>
bool RuleParser::parse_list(std::vector<Item>& items, std::string_view what, Parse parse_item) {
  for (;;) {
    const Token* word = take_word(what);
    if (word == nullptr) return false;
    if (auto item = parse_item(word->text)) {
      items.push_back(std::move(*item));
    } else {
      report(*word, std::move(item.error()));
    }
    if (!at_comma()) return true;
    ++position_;
  }
}

bool RuleParser::parse_action(Rule& rule) {
  const Token* word = take_word("'allow' or 'deny'");
  if (word == nullptr) return false;
  rule.allow = word->text == "allow";
  if (rule.allow || word->text == "deny") return true;
  const std::size_t colon = word->text.find(':');
  const bool joined = colon != std::string_view::npos &&
                      std::ranges::find(action_words, word->text.substr(colon + 1)) != action_words.end();
  const std::string hint = joined ? " (a space is missing behind ':')" : suggestion(word->text, action_words);
  report(word->column, "expected 'allow' or 'deny', found " + quoted(word->text) + hint);
  return false;
}

bool RuleParser::expect_word(std::string_view word, std::span<const std::string_view> known) {
  const Token* token = peek();
  if (token != nullptr && token->text == word) {
    ++position_;
    return true;
  }
  std::string expected = known.size() > 1 ? "',', 'from' or 'to'" : "',' or 'to'";
  if (token == nullptr) {
    report(end_column(), "expected " + std::move(expected));
  } else {
    report(token->column, "expected " + expected + ", found " + quoted(token->text) + suggestion(token->text, known));
  }
  return false;
}

// A command stands before another word; the last word is always a target.
void RuleParser::parse_commands(Rule& rule) {
  while (peek() != nullptr && word_follows() && !is_option(tokens_[position_ + 1].text)) {
    const auto command = command_named(peek()->text);
    if (!command) return;
    rule.commands.insert(*command);
    ++position_;
  }
}

bool RuleParser::parse_targets(Rule& rule) {
  for (bool first = true;; first = false) {
    const Token* word = take_word("a target");
    if (word == nullptr) return false;
    if (first && command_named(word->text)) {
      report(word->column, "expected a target behind " + quoted(word->text) + " (a host of that name must be quoted)");
    } else {
      parse_target(rule, *word);
    }
    if (!expect_end_of_target(*word, first)) return false;
    if (!at_comma()) return true;
    ++position_;
  }
}

void RuleParser::parse_target(Rule& rule, const Token& word) {
  auto split = split_target(word.text);
  if (!split) return report(word, std::move(split.error()));
  if (!split->ports && is_port_number(word.text)) {
    return report(word.column, quoted(word.text) + " is a port: ports stand behind a host, as in 'public:443'");
  }
  TargetPattern target{.host = Any{}, .ports = {}, .column = word.column};
  if (auto host = parse_target_host(split->host)) {
    target.host = std::move(*host);
  } else {
    report(word, std::move(host.error()));
  }
  if (split->ports) {
    parse_port_item(target, *split->ports, word.column + static_cast<int>(split->ports_offset));
    parse_more_ports(target);
  }
  rule.targets.push_back(std::move(target));
}

std::expected<HostPattern, Fault> RuleParser::parse_target_host(std::string_view host) const {
  if (!host.starts_with(list_prefix)) return parse_host(host);
  return parse_list_name(host.substr(list_prefix.size()), lists_);
}

void RuleParser::parse_more_ports(TargetPattern& target) {
  while (at_comma() && word_follows()) {
    const Token& word = tokens_[position_ + 1];
    if (!is_port_number(word.text) && !service_port(word.text)) return;
    parse_port_item(target, word.text, word.column);
    position_ += 2;
  }
}

void RuleParser::parse_port_item(TargetPattern& target, std::string_view text, int column) {
  if (const auto range = parse_ports(text)) {
    target.ports.push_back(*range);
  } else {
    report(column, range.error().message);
  }
}

bool RuleParser::expect_end_of_target(const Token& target, bool first) {
  const Token* next = peek();
  if (next == nullptr || next->is_comma() || is_option(next->text)) return true;
  // Two words side by side: most often the first was to be a command.
  const std::string hint = first ? suggestion(target.text, command_words()) : "";
  if (!hint.empty()) {
    report(target.column, "unknown command " + quoted(target.text) + hint);
  } else {
    report(next->column, "expected ',', an option or the end of the rule, found " + quoted(next->text) +
                             suggestion(next->text, option_words()));
  }
  return false;
}

// The whole text, line by line.
class RulesParser {
 public:
  explicit RulesParser(const Lists& lists) : lists_(lists) {}
  std::expected<RuleSet, std::vector<RuleError>> parse(std::string_view text);

 private:
  void parse_line(std::string_view line, int line_number);
  std::string unique_name(const std::optional<Token>& given, int line_number);

  const Lists& lists_;
  RuleSet set_;
  std::vector<RuleError> errors_;
  std::map<std::string, int, std::less<>> line_of_name_;
};

std::expected<RuleSet, std::vector<RuleError>> RulesParser::parse(std::string_view text) {
  for (int line_number = 1; !text.empty(); ++line_number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    parse_line(text.substr(0, end), line_number);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (set_.rules.size() > limits::rules_max) {
      errors_.push_back(
          {.line = line_number, .column = 1, .message = "more than " + std::to_string(limits::rules_max) + " rules"});
      break;
    }
  }
  if (!errors_.empty()) return std::unexpected(std::move(errors_));
  return std::move(set_);
}

void RulesParser::parse_line(std::string_view line, int line_number) {
  const auto tokenized = tokenize(line, line_number);
  if (!tokenized) {
    errors_.push_back(tokenized.error());
    return;
  }
  if (tokenized->tokens.empty()) return;
  RuleParser parser(*tokenized, line_number, lists_, errors_);
  std::string name = unique_name(parser.parse_rule_name(), line_number);
  auto rule = parser.parse();
  if (!rule) return;
  set_.rules.push_back(std::move(*rule));
  set_.infos.push_back({.name = std::move(name), .text = std::string(tokenized->text), .line = line_number});
}

std::string RulesParser::unique_name(const std::optional<Token>& given, int line_number) {
  if (!given) return "rule " + std::to_string(set_.rules.size() + 1);
  const auto [found, inserted] = line_of_name_.emplace(given->text, line_number);
  if (!inserted) {
    errors_.push_back({.line = line_number,
                       .column = given->column,
                       .message = "the rule name " + quoted(given->text) + " stands on line " +
                                  std::to_string(found->second) + " already"});
  }
  return std::string(given->text);
}

}  // namespace

std::expected<RuleSet, std::vector<RuleError>> parse_rules(std::string_view text, const Lists& lists) {
  return RulesParser(lists).parse(text);
}

}  // namespace stile::policy
