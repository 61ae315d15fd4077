#include "base/duration.h"

#include <array>
#include <charconv>
#include <cstdint>

#include "base/assert.h"

namespace stile {
namespace {

struct Unit {
  std::string_view name;
  std::chrono::microseconds length;
};

// Longest first: to_text takes the first that divides.
constexpr std::array<Unit, 6> units{{
    {"d", std::chrono::days{1}},
    {"h", std::chrono::hours{1}},
    {"m", std::chrono::minutes{1}},
    {"s", std::chrono::seconds{1}},
    {"ms", std::chrono::milliseconds{1}},
    {"us", std::chrono::microseconds{1}},
}};

constexpr std::chrono::microseconds longest = std::chrono::days{365};

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) noexcept {
  // std::from_chars would take a sign.
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view name = text.substr(static_cast<std::size_t>(rest - text.data()));
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    if (number > longest / unit.length) return std::nullopt;
    return number * unit.length;
  }
  return std::nullopt;
}

std::string rough_text(Duration duration) {
  STILE_ASSERT(duration >= Duration::zero());
  struct Step {
    std::int64_t seconds;
    char name;
  };
  constexpr std::array steps{Step{86'400, 'd'}, Step{3'600, 'h'}, Step{60, 'm'}, Step{1, 's'}};
  const std::int64_t seconds = std::chrono::floor<std::chrono::seconds>(duration).count();
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    if (seconds < steps[i].seconds) continue;
    std::string text = std::to_string(seconds / steps[i].seconds) + steps[i].name;
    const std::int64_t rest = seconds % steps[i].seconds / steps[i + 1].seconds;
    if (rest > 0) text += ' ' + std::to_string(rest) + steps[i + 1].name;
    return text;
  }
  return std::to_string(seconds) + 's';
}

std::string to_text(Duration duration) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(duration);
  STILE_ASSERT(microseconds == duration && duration >= Duration::zero());
  if (microseconds == microseconds.zero()) return "0s";
  for (const Unit& unit : units) {
    if (microseconds % unit.length == microseconds.zero()) {
      return std::to_string(microseconds / unit.length) + std::string(unit.name);
    }
  }
  return {};  // not reached: the last unit divides everything
}

}  // namespace stile
