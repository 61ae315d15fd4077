#include "policy/expect.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.h"
#include "policy/line_reader.h"
#include "policy/match.h"
#include "policy/option_values.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

constexpr auto words_behind_who = std::to_array<std::string_view>({"from", "may"});
constexpr auto words_behind_target = std::to_array<std::string_view>({"resolving", "at"});

class ExpectationParser {
 public:
  explicit ExpectationParser(const LineReader& line) : line_(line) {}

  // Nothing after a structural fault; what is returned counts only when no fault at all was reported.
  std::optional<Expectation> parse();

 private:
  bool parse_source();
  bool parse_may();
  bool parse_command();
  bool parse_targets();
  bool parse_host(const Token& word, std::string_view text);
  void parse_port(std::string_view text, int column);
  bool parse_conditions();
  bool parse_resolving();
  bool parse_at();
  std::optional<Address> take_address(std::string_view what);

  LineReader line_;
  Expectation expectation_;
  std::optional<Host> host_;
};

std::optional<Expectation> ExpectationParser::parse() {
  if (!line_.take_list(expectation_.who, "a client", words_behind_who, parse_who)) return std::nullopt;
  if (!parse_source() || !parse_may() || !parse_command() || !parse_targets() || !parse_conditions()) {
    return std::nullopt;
  }
  return std::move(expectation_);
}

std::optional<Address> ExpectationParser::take_address(std::string_view what) {
  const Token* const word = line_.take_word(what);
  if (word == nullptr) return std::nullopt;
  const auto address = Address::parse(word->text);
  if (!address) line_.report(word->column, "expected " + std::string(what) + ", found " + quoted(word->text));
  return address;
}

bool ExpectationParser::parse_source() {
  if (!line_.skip_word("from")) return true;
  expectation_.source = take_address("one address");
  return expectation_.source.has_value();
}

bool ExpectationParser::parse_may() {
  if (!line_.skip_word("may")) {
    const Token* const word = line_.peek();
    const std::string found =
        word == nullptr ? "" : ", found " + quoted(word->text) + suggestion(word->text, words_behind_who);
    line_.report(line_.column(), (expectation_.source ? "expected 'may'" : "expected ',', 'from' or 'may'") + found);
    return false;
  }
  expectation_.may = !line_.skip_word("not");
  return true;
}

bool ExpectationParser::parse_command() {
  const Token* const word = line_.take_word("a command");
  if (word == nullptr) return false;
  if (const auto command = command_named(word->text)) {
    expectation_.command = *command;
    return true;
  }
  line_.report(word->column, "expected connect, udp, bind, ping or resolve, found " + quoted(word->text) +
                                 suggestion(word->text, command_words()));
  return false;
}

bool ExpectationParser::parse_targets() {
  const Token* const word = line_.take_word("a target", words_behind_target);
  if (word == nullptr) return false;
  const auto split = split_target(word->text);
  if (!split) {
    line_.report(*word, split.error());
    return false;
  }
  if (!parse_host(*word, split->host)) return false;
  if (!split->ports) {
    if (has_port(expectation_.command)) line_.report(word->column, "expected HOST:PORT, found " + quoted(word->text));
    expectation_.targets.push_back({.host = *host_, .port = 0});
    return true;
  }
  if (!has_port(expectation_.command)) {
    line_.report(word->column + static_cast<int>(split->ports_offset),
                 std::string(name(expectation_.command)) + " has no port");
  }
  parse_port(*split->ports, word->column + static_cast<int>(split->ports_offset));
  while (line_.at_comma() && line_.word_follows()) {
    parse_port(line_.peek_second()->text, line_.peek_second()->column);
    line_.advance(2);
  }
  return true;
}

bool ExpectationParser::parse_host(const Token& word, std::string_view text) {
  if (!text.starts_with(list_prefix)) {
    auto pattern = policy::parse_host(text);
    if (!pattern) {
      line_.report(word, pattern.error());
      return false;
    }
    if (auto* const exact = std::get_if<ExactName>(&*pattern)) host_ = std::move(exact->name);
    const auto* const prefix = std::get_if<Cidr>(&*pattern);
    if (prefix != nullptr && *prefix == Cidr::host(prefix->base)) host_ = prefix->base;
  }
  if (!host_) line_.report(word.column, "an expectation is about one host: name one of " + quoted(text));
  return host_.has_value();
}

void ExpectationParser::parse_port(std::string_view text, int column) {
  const auto ports = parse_ports(text);
  if (!ports) {
    line_.report(column, ports.error().message);
  } else if (ports->first != ports->last || ports->first == 0) {
    line_.report(column, "an expectation is about single ports, found " + quoted(text));
  } else {
    expectation_.targets.push_back({.host = *host_, .port = ports->first});
  }
}

bool ExpectationParser::parse_conditions() {
  while (const Token* const word = line_.peek()) {
    if (line_.skip_word("resolving")) {
      if (!parse_resolving()) return false;
    } else if (line_.skip_word("at")) {
      if (!parse_at()) return false;
    } else {
      line_.report(word->column, "expected 'resolving', 'at' or the end of the line, found " + quoted(word->text) +
                                     suggestion(word->text, words_behind_target));
      return false;
    }
  }
  return true;
}

bool ExpectationParser::parse_resolving() {
  const int column = line_.column();
  if (!line_.skip_word("to")) {
    line_.report(column, "expected 'to' behind 'resolving'");
    return false;
  }
  expectation_.resolving = take_address("one address");
  if (!expectation_.resolving) return false;
  if (std::holds_alternative<HostName>(*host_)) return true;
  line_.report(column, "an address resolves to nothing");
  return false;
}

bool ExpectationParser::parse_at() {
  const Token* const day = line_.take_word("a day, mon to sun");
  const Token* const time = day == nullptr ? nullptr : line_.take_word("a time of day such as 09:00");
  if (time == nullptr) return false;
  auto at = parse_day(day->text);
  if (!at) line_.report(*day, at.error());
  const auto minute = parse_minute(time->text);
  if (!minute) line_.report(*time, minute.error());
  if (!at || !minute) return false;
  at->minute = *minute;
  expectation_.at = *at;
  return true;
}

}  // namespace

std::expected<std::vector<Expectation>, std::vector<RuleError>> parse_expectations(std::string_view text) {
  std::vector<Expectation> expectations;
  std::vector<RuleError> errors;
  for (int line_number = 1; !text.empty(); ++line_number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto tokenized = tokenize(text.substr(0, end), line_number);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!tokenized) errors.push_back(tokenized.error());
    if (!tokenized || tokenized->tokens.empty()) continue;
    auto expectation = ExpectationParser(LineReader(tokenized->tokens, line_number, errors)).parse();
    if (!expectation) continue;
    expectation->text = std::string(tokenized->text);
    expectation->line = line_number;
    expectations.push_back(std::move(*expectation));
    if (expectations.size() > limits::expectations_max) {
      errors.push_back({.line = line_number,
                        .column = 1,
                        .message = "more than " + std::to_string(limits::expectations_max) + " expectations"});
      break;
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return expectations;
}

}  // namespace stile::policy
