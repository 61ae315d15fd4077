// Durations as people write them, in the configuration and in rules: one whole number and one unit, "250ms", "10s",
// "5m", "1h". No sums, no fractions, no signs, no spaces: one spelling a value, so that a typo is an error. Pure;
// tested in duration_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace stile {

/// Units: us, ms, s, m, h, d. Nothing when the text is anything else, or is longer than a year.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text) noexcept;

/// For people, who want two figures at most, rounded down: "0s", "59s", "3m 20s", "2h 5m", "3d 4h".
[[nodiscard]] std::string rough_text(Duration duration);

/// The shortest text that parse_duration reads back as `duration`, which is a whole number of microseconds.
[[nodiscard]] std::string to_text(Duration duration);

}  // namespace stile
