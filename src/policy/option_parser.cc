#include "policy/option_parser.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/number.h"
#include "policy/option_values.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

// In the order of RecordDetail.
constexpr auto log_words = std::to_array<std::string_view>({"none", "session", "url"});
// In the order of Scope.
constexpr auto scope_words = std::to_array<std::string_view>({"rule", "user", "tunnel"});
constexpr auto period_words = std::to_array<std::string_view>({"day", "month"});
constexpr std::string_view direct = "direct";

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
  while (const Token* const word = line_.peek()) {
    if (is_option(word->text)) {
      line_.advance();
      if (parse_option(*word)) continue;
    } else {
      line_.report(word->column, "expected an option or the end of the rule, found " + quoted(word->text) +
                                     suggestion(word->text, option_words()));
    }
    while (line_.peek() != nullptr && !is_option(line_.peek()->text)) line_.advance();
  }
  if (options_.redirect && !options_.via.empty()) {
    line_.report(line_.column(), "'redirect' leads there directly: it does not go with 'via'");
  }
  return std::move(options_);
}

bool OptionParser::fail(int column, std::string message) {
  line_.report(column, std::move(message));
  return false;
}

bool OptionParser::fail(const Token& token, const Fault& fault) {
  line_.report(token, fault);
  return false;
}

bool OptionParser::parse_option(const Token& word) {
  if (!allow_ && word.text != "when" && word.text != "log") {
    return fail(word.column, quoted(word.text) + " means nothing behind a deny: only 'when' and 'log' may stand there");
  }
  if (word.text == "via") return expect_once(word, !std::exchange(via_given_, true)) && parse_via();
  if (word.text == "rate") return parse_rate(word);
  if (word.text == "sessions") return parse_sessions(word);
  if (word.text == "quota") return parse_quota(word);
  if (word.text == "when") return parse_when();
  if (word.text == "log") return expect_once(word, !std::exchange(log_given_, true)) && parse_log();
  if (word.text == "egress") return parse_egress_place(word);
  if (word.text == "mark") return parse_mark(word);
  if (word.text == "redirect") return parse_once(word, options_.redirect, "HOST:PORT", parse_place);
  return parse_once(word, options_.idle, "a duration", parse_idle);
}

bool OptionParser::expect_once(const Token& word, bool is_first) {
  return is_first || fail(word.column, quoted(word.text) + " stands in this rule already");
}

template <class Value, class Parse>
bool OptionParser::parse_once(const Token& word, std::optional<Value>& stored, std::string_view what,
                              Parse parse_value) {
  if (!expect_once(word, !stored)) return false;
  const Token* const value = line_.take_word(what, option_words());
  if (value == nullptr) return false;
  auto parsed = parse_value(value->text);
  if (!parsed) return fail(*value, parsed.error());
  stored = std::move(*parsed);
  return true;
}

// `direct`, or the upstreams that are met one after the other, with '>' between them.
bool OptionParser::parse_via() {
  const int column = line_.column();
  if (line_.peek() != nullptr && line_.peek()->text == direct) {
    line_.advance();
    return true;
  }
  if (!parse_hop(true)) return false;
  while (line_.skip_word(">")) {
    if (!parse_hop(false)) return false;
  }
  std::size_t hops = 0;
  for (const std::string& name : options_.via) hops += upstreams_.find(name)->second.hops;
  if (hops > limits::chain_hops_max) {
    return fail(column, "a way leads through at most " + std::to_string(limits::chain_hops_max) + " proxies");
  }
  options_.via_takes_names = upstreams_.find(options_.via.back())->second.takes_names;
  return true;
}

bool OptionParser::parse_hop(bool first) {
  const std::string_view what = first ? "'direct' or the name of an upstream" : "the name of an upstream";
  const Token* const word = line_.take_word(what, option_words());
  if (word == nullptr) return false;
  if (upstreams_.contains(word->text)) {
    options_.via.emplace_back(word->text);
    return true;
  }
  if (word->text.size() > 1 && word->text.contains('>')) {
    return fail(word->column, "a space stands on each side of '>', as in 'via one > two'");
  }
  if (!first && word->text == direct) return fail(word->column, "'direct' stands alone: it leads through no upstream");
  std::vector<std::string_view> known{direct};
  for (const auto& [name, traits] : upstreams_) known.push_back(name);
  return fail(word->column, "no upstream is named " + quoted(word->text) + suggestion(word->text, known));
}

std::optional<Scope> OptionParser::parse_scope(bool tunnel_too) {
  if (line_.peek() == nullptr || line_.peek()->text != "per") return Scope::rule;
  line_.advance();
  const std::string_view what = tunnel_too ? "'rule', 'user' or 'tunnel'" : "'rule' or 'user'";
  const Token* const word = line_.take_word(what, option_words());
  if (word == nullptr) return std::nullopt;
  const auto known = std::span(scope_words).first(tunnel_too ? 3 : 2);
  const auto scope = index_of(scope_words, word->text);
  if (scope && *scope < known.size()) return static_cast<Scope>(*scope);
  fail(word->column, "expected " + std::string(what) + ", found " + quoted(word->text) + suggestion(word->text, known));
  return std::nullopt;
}

bool OptionParser::parse_rate(const Token& word) {
  const auto scope = parse_scope(true);
  if (!scope) return false;
  Rate rate{.scope = *scope};
  if (line_.peek() != nullptr && (line_.peek()->text == "up" || line_.peek()->text == "down")) {
    rate.direction = line_.peek()->text == "up" ? Direction::up : Direction::down;
    line_.advance();
  }
  const Token* const value = line_.take_word("a rate such as 10MB/s", option_words());
  if (value == nullptr) return false;
  const Fraction fraction = split(value->text);
  const auto size = parse_size(fraction.size);
  if (!size) return fail(*value, size.error());
  if (fraction.time != "s") {
    return fail(value->column, "a rate is a size a second (did you mean '" + std::string(fraction.size) + "/s'?)");
  }
  rate.octets_per_second = *size;
  const bool is_new = std::ranges::none_of(options_.rates, [&](const Rate& other) {
    return other.scope == rate.scope && directions_meet(other.direction, rate.direction);
  });
  if (!is_new) return fail(word.column, "a rate for the same octets stands in this rule already");
  options_.rates.push_back(rate);
  return true;
}

bool OptionParser::parse_sessions(const Token& word) {
  const auto scope = parse_scope(false);
  if (!scope) return false;
  const Token* const value = line_.take_word("how many sessions", option_words());
  if (value == nullptr) return false;
  const auto most = whole_number<std::uint32_t>(value->text, limits::sessions_of_rule_max);
  if (!most || *most == 0) {
    return fail(value->column, "expected a whole number from 1 to " + std::to_string(limits::sessions_of_rule_max) +
                                   ", found " + quoted(value->text));
  }
  const SessionsLimit limit{.scope = *scope, .most = *most};
  if (std::ranges::find(options_.sessions, limit.scope, &SessionsLimit::scope) != options_.sessions.end()) {
    return fail(word.column, "'sessions' of the same scope stands in this rule already");
  }
  options_.sessions.push_back(limit);
  return true;
}

bool OptionParser::parse_quota(const Token& word) {
  const auto scope = parse_scope(false);
  if (!scope) return false;
  const Token* const value = line_.take_word("a quota such as 10GB/day", option_words());
  if (value == nullptr) return false;
  const Fraction fraction = split(value->text);
  const auto size = parse_size(fraction.size);
  if (!size) return fail(*value, size.error());
  const auto period = index_of(period_words, fraction.time);
  if (!period) {
    return fail(value->column + static_cast<int>(fraction.time_offset),
                "expected '/day' or '/month' behind the size" + suggestion(fraction.time, period_words));
  }
  const Quota quota{.scope = *scope, .period = static_cast<Quota::Period>(*period), .octets = *size};
  const bool is_new = std::ranges::none_of(
      options_.quotas, [&](const Quota& other) { return other.scope == quota.scope && other.period == quota.period; });
  if (!is_new) return fail(word.column, "a quota for the same octets stands in this rule already");
  options_.quotas.push_back(quota);
  return true;
}

bool OptionParser::parse_when() {
  When when;
  for (;;) {
    const Token* const days = line_.take_word("a day, mon to sun", option_words());
    if (days == nullptr) return false;
    if (const auto added = add_days(days->text, when); !added) return fail(*days, added.error());
    if (line_.peek() == nullptr || !line_.peek()->is_comma()) break;
    line_.advance();
  }
  const Token* const hours = line_.take_word("times of day such as 08:00-18:00", option_words());
  if (hours == nullptr) return false;
  if (const auto parsed = parse_hours(hours->text, when); !parsed) return fail(*hours, parsed.error());
  options_.when.push_back(when);
  return true;
}

// The place alone: a mark that stands before it stays.
bool OptionParser::parse_egress_place(const Token& word) {
  if (!expect_once(word, !options_.egress.has_place())) return false;
  const Token* const value = line_.take_word("an address or interface to leave from", option_words());
  if (value == nullptr) return false;
  auto place = parse_egress(value->text);
  if (!place) return fail(*value, place.error());
  place->mark = options_.egress.mark;
  options_.egress = *place;
  return true;
}

bool OptionParser::parse_mark(const Token& word) {
  if (!expect_once(word, options_.egress.mark == 0)) return false;
  const Token* const value = line_.take_word("a mark, a number", option_words());
  if (value == nullptr) return false;
  const auto mark = stile::policy::parse_mark(value->text);
  if (!mark) return fail(*value, mark.error());
  options_.egress.mark = *mark;
  return true;
}

bool OptionParser::parse_log() {
  const Token* const word = line_.take_word("'none', 'session' or 'url'", option_words());
  if (word == nullptr) return false;
  const auto detail = index_of(log_words, word->text);
  if (!detail) {
    return fail(word->column,
                "expected 'none', 'session' or 'url', found " + quoted(word->text) + suggestion(word->text, log_words));
  }
  options_.log = static_cast<RecordDetail>(*detail);
  if (allow_ || options_.log != RecordDetail::url) return true;
  return fail(word->column, "'log url' means nothing behind a deny: no octet of a refused session is looked at");
}

}  // namespace stile::policy
