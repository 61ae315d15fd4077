// Latencies counted in buckets of growing width, after Gil Tene's HdrHistogram: exact below 256 ns, then 128 buckets an
// octave. Recording costs one increment and never allocates; a percentile is at most 1/128 (0.8 %) above the exact one
// and never below it.
// Threading: a value; one thread. Tested in histogram_test.cc against exact percentiles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace stile::loadgen {

class Histogram {
 public:
  /// Below 0 counts as 0, above `longest` as `longest`. Minimum, maximum and mean are exact within that range.
  void record(Duration latency) noexcept;
  void clear() noexcept { *this = {}; }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// All of these are 0 where nothing was recorded.
  [[nodiscard]] Duration min() const noexcept { return Duration(count_ == 0 ? 0 : min_); }
  [[nodiscard]] Duration max() const noexcept { return Duration(max_); }
  [[nodiscard]] Duration mean() const noexcept;
  /// The smallest bucket's upper end, and `max` at most, that `fraction` (0 to 1) of all latencies do not exceed.
  [[nodiscard]] Duration percentile(double fraction) const noexcept;

  static constexpr Duration longest = std::chrono::minutes(30);

 private:
  static constexpr int precision_bits = 7;
  static constexpr std::size_t buckets_per_octave = std::size_t{1} << precision_bits;
  static constexpr std::size_t octaves = 35;  // 2^41 ns is above `longest`

  [[nodiscard]] static std::size_t bucket_of(std::uint64_t value) noexcept;
  [[nodiscard]] static std::uint64_t upper_end(std::size_t bucket) noexcept;

  std::array<std::uint64_t, (octaves + 1) * buckets_per_octave> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;  // ns: 2^63 of them are 292 years
  std::int64_t min_ = INT64_MAX;
  std::int64_t max_ = 0;
};

}  // namespace stile::loadgen
