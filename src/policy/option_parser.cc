#include "policy/option_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "policy/option_values.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

// In the order of RecordDetail.
constexpr auto log_words = std::to_array<std::string_view>({"none", "session", "url"});
// In the order of Scope.
constexpr auto scope_words = std::to_array<std::string_view>({"rule", "user", "tunnel"});
constexpr auto period_words = std::to_array<std::string_view>({"day", "month"});
constexpr auto via_words = std::to_array<std::string_view>({"direct"});

template <std::size_t size>
std::optional<std::size_t> index_of(const std::array<std::string_view, size>& words, std::string_view word) {
  const auto found = std::ranges::find(words, word);
  if (found == words.end()) return std::nullopt;
  return static_cast<std::size_t>(found - words.begin());
}

// "10MB/s" at its slash; all of it where there is none.
struct Fraction {
  std::string_view size;
  std::string_view time;
  std::size_t time_offset = 0;
};

Fraction split(std::string_view word) {
  const std::size_t slash = std::min(word.find('/'), word.size());
  const std::size_t behind = std::min(slash + 1, word.size());
  return {.size = word.substr(0, slash), .time = word.substr(behind), .time_offset = behind};
}

bool directions_meet(Direction one, Direction other) {
  return one == other || one == Direction::both || other == Direction::both;
}

}  // namespace

Options OptionParser::parse() {
  while (const Token* const word = peek()) {
    if (is_option(word->text)) {
      ++position_;
      if (parse_option(*word)) continue;
    } else {
      report(word->column, "expected an option or the end of the rule, found " + quoted(word->text) +
                               suggestion(word->text, option_words()));
    }
    while (peek() != nullptr && !is_option(peek()->text)) ++position_;
  }
  return std::move(options_);
}

// Reports; the answer is false, for the caller to return.
bool OptionParser::report(int column, std::string message) {
  errors_.push_back({.line = line_number_, .column = column, .message = std::move(message)});
  return false;
}

const Token* OptionParser::take_word(std::string_view what) {
  const Token* const token = peek();
  const bool missing = token == nullptr || token->is_comma();
  if (missing || is_option(token->text)) {
    const Token& last = tokens_.back();
    report(token == nullptr ? last.column + static_cast<int>(last.text.size()) : token->column,
           "expected " + std::string(what) + (missing ? "" : ", found " + quoted(token->text)));
    return nullptr;
  }
  ++position_;
  return token;
}

bool OptionParser::parse_option(const Token& word) {
  if (!allow_ && word.text != "when" && word.text != "log") {
    return report(word.column,
                  quoted(word.text) + " means nothing behind a deny: only 'when' and 'log' may stand there");
  }
  if (word.text == "via") return expect_once(word, !std::exchange(via_given_, true)) && parse_via();
  if (word.text == "rate") return parse_rate(word);
  if (word.text == "sessions") return parse_sessions(word);
  if (word.text == "quota") return parse_quota(word);
  if (word.text == "when") return parse_when();
  if (word.text == "log") return expect_once(word, !std::exchange(log_given_, true)) && parse_log();
  if (word.text == "egress") return parse_once(word, options_.egress, "an address to connect from", parse_egress);
  if (word.text == "redirect") return parse_once(word, options_.redirect, "HOST:PORT", parse_place);
  return parse_once(word, options_.idle, "a duration", parse_idle);
}

bool OptionParser::expect_once(const Token& word, bool is_first) {
  return is_first || report(word.column, quoted(word.text) + " stands in this rule already");
}

template <class Value, class Parse>
bool OptionParser::parse_once(const Token& word, std::optional<Value>& stored, std::string_view what,
                              Parse parse_value) {
  if (!expect_once(word, !stored)) return false;
  const Token* const value = take_word(what);
  if (value == nullptr) return false;
  auto parsed = parse_value(value->text);
  if (!parsed) return report(*value, parsed.error());
  stored = std::move(*parsed);
  return true;
}

bool OptionParser::parse_via() {
  const Token* const route = take_word("'direct' or the name of an upstream");
  if (route == nullptr) return false;
  if (route->text == "direct") return true;
  return report(route->column, "no upstream is named " + quoted(route->text) + suggestion(route->text, via_words));
}

std::optional<Scope> OptionParser::parse_scope(bool tunnel_too) {
  if (peek() == nullptr || peek()->text != "per") return Scope::rule;
  ++position_;
  const std::string_view what = tunnel_too ? "'rule', 'user' or 'tunnel'" : "'rule' or 'user'";
  const Token* const word = take_word(what);
  if (word == nullptr) return std::nullopt;
  const auto known = std::span(scope_words).first(tunnel_too ? 3 : 2);
  const auto scope = index_of(scope_words, word->text);
  if (scope && *scope < known.size()) return static_cast<Scope>(*scope);
  report(word->column,
         "expected " + std::string(what) + ", found " + quoted(word->text) + suggestion(word->text, known));
  return std::nullopt;
}

bool OptionParser::parse_rate(const Token& word) {
  const auto scope = parse_scope(true);
  if (!scope) return false;
  Rate rate{.scope = *scope};
  if (peek() != nullptr && (peek()->text == "up" || peek()->text == "down")) {
    rate.direction = peek()->text == "up" ? Direction::up : Direction::down;
    ++position_;
  }
  const Token* const value = take_word("a rate such as 10MB/s");
  if (value == nullptr) return false;
  const Fraction fraction = split(value->text);
  const auto size = parse_size(fraction.size);
  if (!size) return report(*value, size.error());
  if (fraction.time != "s") {
    return report(value->column, "a rate is a size a second (did you mean '" + std::string(fraction.size) + "/s'?)");
  }
  rate.octets_per_second = *size;
  const bool is_new = std::ranges::none_of(options_.rates, [&](const Rate& other) {
    return other.scope == rate.scope && directions_meet(other.direction, rate.direction);
  });
  if (!is_new) return report(word.column, "a rate for the same octets stands in this rule already");
  options_.rates.push_back(rate);
  return true;
}

bool OptionParser::parse_sessions(const Token& word) {
  const auto scope = parse_scope(false);
  if (!scope) return false;
  const Token* const value = take_word("how many sessions");
  if (value == nullptr) return false;
  std::uint32_t most = 0;
  const std::string_view text = value->text;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), most);
  const bool whole = error == std::errc{} && rest == text.data() + text.size();
  if (!whole || most == 0 || most > limits::sessions_of_rule_max) {
    return report(value->column, "expected a whole number from 1 to " + std::to_string(limits::sessions_of_rule_max) +
                                     ", found " + quoted(text));
  }
  const SessionsLimit limit{.scope = *scope, .most = most};
  if (std::ranges::find(options_.sessions, limit.scope, &SessionsLimit::scope) != options_.sessions.end()) {
    return report(word.column, "'sessions' of the same scope stands in this rule already");
  }
  options_.sessions.push_back(limit);
  return true;
}

bool OptionParser::parse_quota(const Token& word) {
  const auto scope = parse_scope(false);
  if (!scope) return false;
  const Token* const value = take_word("a quota such as 10GB/day");
  if (value == nullptr) return false;
  const Fraction fraction = split(value->text);
  const auto size = parse_size(fraction.size);
  if (!size) return report(*value, size.error());
  const auto period = index_of(period_words, fraction.time);
  if (!period) {
    return report(value->column + static_cast<int>(fraction.time_offset),
                  "expected '/day' or '/month' behind the size" + suggestion(fraction.time, period_words));
  }
  const Quota quota{.scope = *scope, .period = static_cast<Quota::Period>(*period), .octets = *size};
  const bool is_new = std::ranges::none_of(
      options_.quotas, [&](const Quota& other) { return other.scope == quota.scope && other.period == quota.period; });
  if (!is_new) return report(word.column, "a quota for the same octets stands in this rule already");
  options_.quotas.push_back(quota);
  return true;
}

bool OptionParser::parse_when() {
  When when;
  for (;;) {
    const Token* const days = take_word("a day, mon to sun");
    if (days == nullptr) return false;
    if (const auto added = add_days(days->text, when); !added) return report(*days, added.error());
    if (peek() == nullptr || !peek()->is_comma()) break;
    ++position_;
  }
  const Token* const hours = take_word("times of day such as 08:00-18:00");
  if (hours == nullptr) return false;
  if (const auto parsed = parse_hours(hours->text, when); !parsed) return report(*hours, parsed.error());
  options_.when.push_back(when);
  return true;
}

bool OptionParser::parse_log() {
  const Token* const word = take_word("'none', 'session' or 'url'");
  if (word == nullptr) return false;
  const auto detail = index_of(log_words, word->text);
  if (!detail) {
    return report(word->column, "expected 'none', 'session' or 'url', found " + quoted(word->text) +
                                    suggestion(word->text, log_words));
  }
  options_.log = static_cast<RecordDetail>(*detail);
  if (allow_ || options_.log != RecordDetail::url) return true;
  return report(word->column, "'log url' means nothing behind a deny: no octet of a refused session is looked at");
}

}  // namespace stile::policy
