#include "policy/rules.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "policy/line_reader.h"
#include "policy/option_parser.h"
#include "policy/patterns.h"
#include "policy/tokens.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

constexpr auto action_words = std::to_array<std::string_view>({"allow", "deny"});
constexpr auto source_and_target_words = std::to_array<std::string_view>({"from", "to"});
constexpr auto target_words = std::to_array<std::string_view>({"to"});
// Unquoted, these two are never a name: a list that ran into them lacks its last item.
constexpr auto list_ends = source_and_target_words;

// One rule. A fault inside a list goes on behind the next comma, so that one pass reports them all; a fault in the
// structure ends the rule.
class RuleParser {
 public:
  RuleParser(const LineReader& line, const Lists& lists, const Upstreams& upstreams)
      : line_(line), lists_(lists), upstreams_(upstreams) {}

  // NAME: in front, if there is one.
  std::optional<Token> parse_rule_name();
  // The rest. Nothing after a structural fault; what is returned counts only when no fault at all was reported.
  std::optional<Rule> parse();

 private:
  bool expect_word(std::string_view word, std::span<const std::string_view> known);
  bool parse_action(Rule& rule);
  void parse_commands(Rule& rule);
  bool parse_targets(Rule& rule);
  void parse_target(Rule& rule, const Token& word);
  [[nodiscard]] std::expected<HostPattern, Fault> parse_target_host(std::string_view host) const;
  void parse_more_ports(TargetPattern& target);
  void parse_port_item(TargetPattern& target, std::string_view text, int column);
  bool expect_end_of_target(const Token& target, bool first);

  LineReader line_;
  const Lists& lists_;
  const Upstreams& upstreams_;
};

std::optional<Token> RuleParser::parse_rule_name() {
  const Token& first = *line_.peek();
  if (first.is_quoted() || !first.text.ends_with(':')) return std::nullopt;
  line_.advance();
  const Token name{.text = first.text.substr(0, first.text.size() - 1), .column = first.column};
  if (!is_plain_name(name.text)) {
    line_.report(first.column,
                 "the rule name " + quoted(name.text) + " may hold only letters, digits, '-', '_' and '.'");
  }
  return name;
}

std::optional<Rule> RuleParser::parse() {
  Rule rule;
  if (!parse_action(rule) || !line_.take_list(rule.who, "a client", list_ends, parse_who)) return std::nullopt;
  const bool has_sources = line_.skip_word("from");
  if (has_sources) {
    if (!line_.take_list(rule.sources, "a source", list_ends, parse_source)) return std::nullopt;
  }
  const std::span<const std::string_view> next =
      has_sources ? std::span<const std::string_view>(target_words) : source_and_target_words;
  if (!expect_word("to", next)) return std::nullopt;
  parse_commands(rule);
  if (!parse_targets(rule)) return std::nullopt;
  if (line_.peek() != nullptr) {
    rule.options = OptionParser(line_, rule.allow, upstreams_).parse();
  }
  return rule;
}

bool RuleParser::parse_action(Rule& rule) {
  const Token* word = line_.take_word("'allow' or 'deny'", list_ends);
  if (word == nullptr) return false;
  rule.allow = word->text == "allow";
  if (rule.allow || word->text == "deny") return true;
  const std::size_t colon = word->text.find(':');
  const bool joined = colon != std::string_view::npos &&
                      std::ranges::find(action_words, word->text.substr(colon + 1)) != action_words.end();
  const std::string hint = joined ? " (a space is missing behind ':')" : suggestion(word->text, action_words);
  line_.report(word->column, "expected 'allow' or 'deny', found " + quoted(word->text) + hint);
  return false;
}

bool RuleParser::expect_word(std::string_view word, std::span<const std::string_view> known) {
  const Token* token = line_.peek();
  if (token != nullptr && token->text == word) {
    line_.advance();
    return true;
  }
  std::string expected = known.size() > 1 ? "',', 'from' or 'to'" : "',' or 'to'";
  if (token == nullptr) {
    line_.report(line_.column(), "expected " + std::move(expected));
  } else {
    line_.report(token->column,
                 "expected " + expected + ", found " + quoted(token->text) + suggestion(token->text, known));
  }
  return false;
}

// A command stands before another word; the last word is always a target.
void RuleParser::parse_commands(Rule& rule) {
  while (line_.peek() != nullptr && line_.word_follows() && !is_option(line_.peek_second()->text)) {
    const auto command = command_named(line_.peek()->text);
    if (!command) return;
    rule.commands.insert(*command);
    line_.advance();
  }
}

bool RuleParser::parse_targets(Rule& rule) {
  for (bool first = true;; first = false) {
    const Token* word = line_.take_word("a target", list_ends);
    if (word == nullptr) return false;
    if (first && command_named(word->text)) {
      line_.report(word->column,
                   "expected a target behind " + quoted(word->text) + " (a host of that name must be quoted)");
    } else {
      parse_target(rule, *word);
    }
    if (!expect_end_of_target(*word, first)) return false;
    if (!line_.at_comma()) return true;
    line_.advance();
  }
}

void RuleParser::parse_target(Rule& rule, const Token& word) {
  auto split = split_target(word.text);
  if (!split) return line_.report(word, std::move(split.error()));
  if (!split->ports && is_port_number(word.text)) {
    return line_.report(word.column, quoted(word.text) + " is a port: ports stand behind a host, as in 'public:443'");
  }
  TargetPattern target{.host = Any{}, .ports = {}, .column = word.column};
  if (auto host = parse_target_host(split->host)) {
    target.host = std::move(*host);
  } else {
    line_.report(word, std::move(host.error()));
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
  while (line_.at_comma() && line_.word_follows()) {
    const Token& word = *line_.peek_second();
    if (!is_port_number(word.text) && !service_port(word.text)) return;
    parse_port_item(target, word.text, word.column);
    line_.advance(2);
  }
}

void RuleParser::parse_port_item(TargetPattern& target, std::string_view text, int column) {
  if (const auto range = parse_ports(text)) {
    target.ports.push_back(*range);
  } else {
    line_.report(column, range.error().message);
  }
}

bool RuleParser::expect_end_of_target(const Token& target, bool first) {
  const Token* next = line_.peek();
  if (next == nullptr || next->is_comma() || is_option(next->text)) return true;
  // Two words side by side: most often the first was to be a command.
  const std::string hint = first ? suggestion(target.text, command_words()) : "";
  if (!hint.empty()) {
    line_.report(target.column, "unknown command " + quoted(target.text) + hint);
  } else {
    line_.report(next->column, "expected ',', an option or the end of the rule, found " + quoted(next->text) +
                                   suggestion(next->text, option_words()));
  }
  return false;
}

// The whole text, line by line.
class RulesParser {
 public:
  RulesParser(const Lists& lists, const Upstreams& upstreams) : lists_(lists), upstreams_(upstreams) {}
  std::expected<RuleSet, std::vector<RuleError>> parse(std::string_view text);

 private:
  void parse_line(std::string_view line, int line_number);
  std::string unique_name(const std::optional<Token>& given, int line_number);

  const Lists& lists_;
  const Upstreams& upstreams_;
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
  RuleParser parser(LineReader(tokenized->tokens, line_number, errors_), lists_, upstreams_);
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

std::expected<RuleSet, std::vector<RuleError>> parse_rules(std::string_view text, const Lists& lists,
                                                           const Upstreams& upstreams) {
  return RulesParser(lists, upstreams).parse(text);
}

}  // namespace stile::policy
