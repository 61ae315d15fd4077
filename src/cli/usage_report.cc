#include "cli/usage_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/table.h"

namespace stile::cli {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;
using observe::Usage;
using observe::UsageKey;

// In the order of UsageKey.
constexpr std::array<std::string_view, 3> key_names{"user", "target", "rule"};

std::string_view name(UsageKey by) noexcept {
  return key_names[static_cast<std::size_t>(by)];
}

// What stands where a session has no such name.
std::string_view nameless(UsageKey by) noexcept {
  switch (by) {
    case UsageKey::user:
      return "(anonymous)";
    case UsageKey::target:
      return "(not recorded)";
    case UsageKey::rule:
      break;
  }
  return "(preset)";
}

std::tm local_time(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  return parts;
}

/// Days beyond a month's end, as "yesterday" may name, count on; so does an hour that a summer time skips.
WallTime from_local(std::tm parts) {
  parts.tm_isdst = -1;
  return WallTime{std::chrono::seconds{std::mktime(&parts)}};
}

WallTime midnight(WallTime now, int days_before) {
  std::tm parts = local_time(now);
  parts.tm_hour = parts.tm_min = parts.tm_sec = 0;
  parts.tm_mday -= days_before;
  return from_local(parts);
}

std::optional<int> number(std::string_view digits) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || digits.front() == '-' || error != std::errc{} || end != digits.data() + digits.size())
    return {};
  return value;
}

std::optional<std::chrono::microseconds> parse_ago(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  const auto count = number(text.substr(0, text.size() - 1));
  if (!count || *count > 100'000) return std::nullopt;
  switch (text.back()) {
    case 'm':
      return *count * 1min;
    case 'h':
      return *count * 1h;
    case 'd':
      return *count * std::chrono::days{1};
    case 'w':
      return *count * std::chrono::weeks{1};
    default:
      return std::nullopt;
  }
}

// YYYY-MM-DD, or YYYY-MM-DD HH:MM with a space or a T between.
std::optional<WallTime> parse_date(std::string_view text) {
  const bool with_clock = text.size() == 16 && (text[10] == ' ' || text[10] == 'T') && text[13] == ':';
  if ((text.size() != 10 && !with_clock) || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = number(text.substr(0, 4));
  const auto month = number(text.substr(5, 2));
  const auto day = number(text.substr(8, 2));
  const auto hour = with_clock ? number(text.substr(11, 2)) : 0;
  const auto minute = with_clock ? number(text.substr(14, 2)) : 0;
  if (!year || !month || !day || !hour || !minute || *hour > 23 || *minute > 59) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok() || *year < 1970) return std::nullopt;
  std::tm parts{};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  return from_local(parts);
}

// "1.24 GB": three digits, powers of ten as in the policy.
std::string size_text(std::uint64_t octets) {
  constexpr std::array<std::string_view, 7> units{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (octets < 1'000) return fmt::format("{} B", octets);
  auto value = static_cast<double>(octets);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= 1'000;
    ++unit;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, units[unit]);
}

Usage total_of(const std::vector<Usage>& rows) {
  return std::accumulate(rows.begin(), rows.end(), Usage{}, [](Usage sum, const Usage& row) {
    sum.sessions += row.sessions;
    sum.octets_up += row.octets_up;
    sum.octets_down += row.octets_down;
    return sum;
  });
}

TableLine line_of(std::string first, const Usage& row) {
  return {std::move(first), fmt::format("{}", row.sessions), size_text(row.octets_up), size_text(row.octets_down),
          size_text(row.octets_up + row.octets_down)};
}

std::string time_text(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

Json json_of(const Usage& row) {
  return {{"sessions", row.sessions}, {"bytes_up", row.octets_up}, {"bytes_down", row.octets_down}};
}

}  // namespace

std::optional<WallTime> parse_moment(std::string_view text, WallTime now) {
  if (text == "today") return midnight(now, 0);
  if (text == "yesterday") return midnight(now, 1);
  if (const auto ago = parse_ago(text)) return now - *ago;
  return parse_date(text);
}

std::string_view moments_understood() noexcept {
  return "today, yesterday, 30m, 12h, 7d, 2w, 2026-11-01 or '2026-11-01 08:30'";
}

std::optional<UsageKey> usage_key_named(std::string_view text) noexcept {
  const auto found = std::ranges::find(key_names, text);
  if (found == key_names.end()) return std::nullopt;
  return static_cast<UsageKey>(found - key_names.begin());
}

std::string usage_table(UsageKey by, const std::vector<Usage>& rows) {
  std::vector<TableLine> lines{{std::string(name(by)), "sessions", "up", "down", "total"}};
  for (const Usage& row : rows) {
    lines.push_back(line_of(row.name.empty() ? std::string(nameless(by)) : printable(row.name), row));
  }
  lines.push_back(line_of("total", total_of(rows)));
  return table_text(lines, "lrrrr");
}

std::string usage_json(UsageKey by, const observe::Period& period, const std::vector<Usage>& rows) {
  Json object = {{"by", name(by)}, {"since", time_text(period.since)}, {"until", nullptr}, {"rows", Json::array()}};
  if (period.until != WallTime::max()) object["until"] = time_text(period.until);
  for (const Usage& row : rows) {
    Json entry = {{name(by), row.name}};
    entry.update(json_of(row));
    object["rows"].push_back(std::move(entry));
  }
  object["total"] = json_of(total_of(rows));
  return object.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace stile::cli
