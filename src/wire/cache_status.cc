#include "wire/cache_status.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace stile::wire {
namespace {

// In the order of CacheOutcome.
constexpr std::array<std::string_view, cache_outcome_count> outcome_names{
    "hit", "bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"};

// RFC 8941 section 3.3.1: at most so many digits.
constexpr std::size_t integer_digits_max = 15;
constexpr std::size_t decimal_digits_max = 12;
constexpr std::size_t fraction_digits_max = 3;

constexpr bool is_digit(char octet) noexcept {
  return octet >= '0' && octet <= '9';
}
constexpr bool is_lower(char octet) noexcept {
  return octet >= 'a' && octet <= 'z';
}
constexpr bool is_letter(char octet) noexcept {
  return is_lower(octet) || (octet >= 'A' && octet <= 'Z');
}

/// A value of a parameter, as far as anybody asks for it.
struct BareItem {
  enum class Kind : std::uint8_t { string, token, boolean, other };
  Kind kind = Kind::other;
  std::string_view token;  // of kind token
  bool truth = false;      // of kind boolean
};

/// One member's parameters that count: the last of each name does (RFC 8941 section 4.2.3.2).
struct Said {
  bool hit = false;
  std::optional<CacheOutcome> forwarded;

  [[nodiscard]] std::optional<CacheOutcome> outcome() const noexcept {
    return hit ? std::optional(CacheOutcome::hit) : forwarded;
  }
};

/// RFC 8941 section 4.2, each step under the name it has there. The first fault is for good.
class Reader {
 public:
  explicit Reader(std::string_view text) noexcept : rest_(text) {}

  std::optional<CacheOutcome> list() noexcept {
    Said last;
    skip(" ");
    while (!rest_.empty()) {
      last = member();
      skip(" \t");
      if (broken_) return std::nullopt;
      if (rest_.empty()) break;
      if (!take(',')) return std::nullopt;
      skip(" \t");
      if (rest_.empty()) return std::nullopt;  // nothing behind the comma
    }
    return last.outcome();
  }

 private:
  [[nodiscard]] char peek() const noexcept { return rest_.empty() ? '\0' : rest_.front(); }
  bool take(char octet) noexcept {
    if (rest_.empty() || rest_.front() != octet) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip(std::string_view octets) noexcept {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(octets), rest_.size()));
  }
  template <class Accepts>
  std::string_view take_while(Accepts accepts) noexcept {
    const auto end = std::ranges::find_if_not(rest_, accepts);
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  /// RFC 9211 section 2: a cache is a string or a token.
  Said member() noexcept {
    const BareItem cache = bare_item();
    if (cache.kind != BareItem::Kind::string && cache.kind != BareItem::Kind::token) broken_ = true;
    Said said;
    while (!broken_ && take(';')) {
      skip(" ");
      parameter(said);
    }
    return said;
  }

  void parameter(Said& said) noexcept {
    const std::string_view key = this->key();
    const BareItem value =
        take('=') ? bare_item() : BareItem{.kind = BareItem::Kind::boolean, .token = {}, .truth = true};
    if (key == "hit") said.hit = value.kind == BareItem::Kind::boolean && value.truth;
    if (key == "fwd") said.forwarded = reason_of(value.token);
  }

  std::string_view key() noexcept {
    if (!is_lower(peek()) && peek() != '*') broken_ = true;
    return take_while([](char octet) {
      return is_lower(octet) || is_digit(octet) || octet == '_' || octet == '-' || octet == '.' || octet == '*';
    });
  }

  static std::optional<CacheOutcome> reason_of(std::string_view token) noexcept {
    const auto found = std::find(outcome_names.begin() + 1, outcome_names.end(), token);
    if (found == outcome_names.end()) return std::nullopt;
    return static_cast<CacheOutcome>(found - outcome_names.begin());
  }

  BareItem bare_item() noexcept {
    const char first = peek();
    if (first == '"') return string();
    if (is_letter(first) || first == '*') {
      const auto belongs = [](char octet) { return is_token_octet(octet) || octet == ':' || octet == '/'; };
      return {.kind = BareItem::Kind::token, .token = take_while(belongs)};
    }
    if (first == '?') return boolean();
    if (first == ':') return byte_sequence();
    return number();
  }

  BareItem string() noexcept {
    take('"');
    while (!rest_.empty()) {
      const char octet = rest_.front();
      rest_.remove_prefix(1);
      if (octet == '"') return {.kind = BareItem::Kind::string, .token = {}};
      if (octet < 0x20 || octet > 0x7E) break;
      if (octet == '\\' && !take('"') && !take('\\')) break;
    }
    broken_ = true;
    return {};
  }

  BareItem boolean() noexcept {
    take('?');
    const bool truth = take('1');
    if (!truth && !take('0')) broken_ = true;
    return {.kind = BareItem::Kind::boolean, .token = {}, .truth = truth};
  }

  // What it holds is not looked at, so base64 that no decoder takes passes (the section lets a parser be lenient
  // there).
  BareItem byte_sequence() noexcept {
    take(':');
    take_while(
        [](char octet) { return is_letter(octet) || is_digit(octet) || octet == '+' || octet == '/' || octet == '='; });
    if (!take(':')) broken_ = true;
    return {};
  }

  BareItem number() noexcept {
    take('-');
    const std::size_t whole = take_while(is_digit).size();
    bool sound = whole >= 1 && whole <= integer_digits_max;
    if (take('.')) {
      const std::size_t fraction = take_while(is_digit).size();
      sound = sound && whole <= decimal_digits_max && fraction >= 1 && fraction <= fraction_digits_max;
    }
    if (!sound) broken_ = true;
    return {};
  }

  std::string_view rest_;
  bool broken_ = false;
};

}  // namespace

std::string_view name(CacheOutcome outcome) noexcept {
  return outcome_names[static_cast<std::size_t>(outcome)];
}

std::optional<CacheOutcome> decode_cache_status(std::string_view value) noexcept {
  return Reader(value).list();
}

std::optional<CacheOutcome> cache_outcome(const HttpFields& fields) noexcept {
  const auto last = std::find_if(fields.rbegin(), fields.rend(), [](const HttpField& field) {
    return equals_ignoring_case(field.name, "Cache-Status") && !field.value.empty();
  });
  return last == fields.rend() ? std::nullopt : decode_cache_status(last->value);
}

}  // namespace stile::wire
