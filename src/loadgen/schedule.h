// When operations are due in open loop: at a fixed rate from a start on, whatever the proxy does. A latency that counts
// from there is free of coordinated omission: a proxy that stalls pays for every operation that it kept waiting.
// Threading: a value; pure. Tested in schedule_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "base/assert.h"
#include "base/time.h"

namespace stile::loadgen {

class Schedule {
 public:
  static constexpr std::uint64_t rate_max = 100'000'000;

  /// `rate` operations a second: 1 to rate_max (asserted).
  Schedule(Instant start, std::uint64_t rate) noexcept : start_(start), rate_(rate) {
    STILE_ASSERT(rate > 0 && rate <= rate_max);
  }

  /// When the next operation is due. Computed from the start, so that no rounding adds up.
  [[nodiscard]] Instant next() const noexcept {
    constexpr std::uint64_t nanoseconds = 1'000'000'000;
    const std::uint64_t seconds = taken_ / rate_;
    const std::uint64_t rest = (taken_ % rate_) * nanoseconds / rate_;
    return start_ + Duration(static_cast<std::int64_t>(seconds * nanoseconds + rest));
  }

  /// Takes the next operation if it is due by `now`, and says since when.
  [[nodiscard]] std::optional<Instant> take(Instant now) noexcept {
    const Instant due = next();
    if (due > now) return std::nullopt;
    ++taken_;
    return due;
  }

  /// Operations that were due by `now` and not taken.
  [[nodiscard]] std::uint64_t behind(Instant now) const noexcept {
    if (now < next()) return 0;
    const auto nanoseconds = static_cast<std::uint64_t>((now - next()).count());
    const std::uint64_t seconds = nanoseconds / 1'000'000'000;
    return 1 + seconds * rate_ + (nanoseconds % 1'000'000'000) * rate_ / 1'000'000'000;
  }

 private:
  Instant start_;
  std::uint64_t rate_;
  std::uint64_t taken_ = 0;
};

}  // namespace stile::loadgen
