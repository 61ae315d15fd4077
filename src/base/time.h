// Time as the pure half sees it: points on the engine's monotonic clock, passed in as arguments. Nothing here reads a
// clock; the engine does (engine/engine.h).
#pragma once

#include <chrono>
#include <cstdint>

namespace stile {

using Duration = std::chrono::nanoseconds;

/// The engine's monotonic clock. It has no now(): only an engine may tell the time.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};

using Instant = MonotonicClock::time_point;

/// Wall-clock time, for records and for what goes by the calendar; never for a deadline.
using WallTime = std::chrono::sys_time<std::chrono::microseconds>;

/// A moment of the week, in local time.
struct WeekTime {
  std::uint8_t day = 0;      // 0: Monday
  std::uint16_t minute = 0;  // of the day

  friend bool operator==(const WeekTime&, const WeekTime&) = default;
};

}  // namespace stile
