// The single words of a rule's options, to and from text: sizes, days, times of day, addresses to connect from. Each
// gives a value or the sentence that says what is wrong with it; line and column are the caller's (option_parser.cc).
// Pure. Tested in options_test.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/options.h"
#include "policy/patterns.h"

namespace stile::policy {

/// "10MB": a whole number that is not 0, and a unit. KB, MB, GB and TB are powers of ten, KiB to TiB of two.
[[nodiscard]] std::expected<std::uint64_t, Fault> parse_size(std::string_view word);
/// The shortest text that parse_size reads back.
[[nodiscard]] std::string size_text(std::uint64_t octets);

/// A day or days from one to another, "mon", "mon-fri", "sat-mon": adds them to `when`.
[[nodiscard]] std::expected<void, Fault> add_days(std::string_view word, When& when);
/// "08:00-18:00", up to 24:00.
[[nodiscard]] std::expected<void, Fault> parse_hours(std::string_view word, When& when);
/// "mon" and "08:00" as a moment.
[[nodiscard]] std::expected<WeekTime, Fault> parse_day(std::string_view word);
[[nodiscard]] std::expected<std::uint16_t, Fault> parse_minute(std::string_view word);

/// ADDRESS, INTERFACE or ADDRESS%INTERFACE; the address may be a prefix of IPv6. Without a mark.
[[nodiscard]] std::expected<EgressSettings, Fault> parse_egress(std::string_view word);
/// From 1 on, decimal, or hexadecimal behind 0x as `ip rule` writes it.
[[nodiscard]] std::expected<std::uint32_t, Fault> parse_mark(std::string_view word);
/// HOST:PORT, the port a number or a service name. A host that reads like a class must be quoted, as in targets.
[[nodiscard]] std::expected<Target, Fault> parse_place(std::string_view word);
[[nodiscard]] std::expected<Duration, Fault> parse_idle(std::string_view word);

/// "mon 09:05"
[[nodiscard]] std::string to_text(const WeekTime& at);
/// Each option as a rule would have it: "rate per user up 10MB/s". Read again, they give equal options.
[[nodiscard]] std::vector<std::string> option_texts(const Options& options);

}  // namespace stile::policy
