#include "loadgen/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace stile::loadgen {

void Histogram::record(Duration latency) noexcept {
  const std::int64_t value = std::clamp<std::int64_t>(latency.count(), 0, longest.count());
  static_assert(longest.count() < std::int64_t{1} << (octaves + precision_bits - 1));
  ++buckets_[bucket_of(static_cast<std::uint64_t>(value))];
  ++count_;
  sum_ += static_cast<std::uint64_t>(value);
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

/// Values of 2^n to 2^(n+1) share 128 buckets; those below 256 have one each.
std::size_t Histogram::bucket_of(std::uint64_t value) noexcept {
  if (value < 2 * buckets_per_octave) return static_cast<std::size_t>(value);
  const int shift = static_cast<int>(std::bit_width(value)) - 1 - precision_bits;
  return (static_cast<std::size_t>(shift) << precision_bits) + static_cast<std::size_t>(value >> shift);
}

std::uint64_t Histogram::upper_end(std::size_t bucket) noexcept {
  if (bucket < 2 * buckets_per_octave) return bucket;
  const std::size_t shift = (bucket >> precision_bits) - 1;
  const std::uint64_t first = (bucket - (shift << precision_bits)) << shift;
  return first + (std::uint64_t{1} << shift) - 1;
}

Duration Histogram::mean() const noexcept {
  if (count_ == 0) return Duration(0);
  return Duration(static_cast<std::int64_t>(sum_ / count_));
}

Duration Histogram::percentile(double fraction) const noexcept {
  if (count_ == 0) return Duration(0);
  const double rank = std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count_));
  const std::uint64_t wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rank));
  std::uint64_t passed = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    passed += buckets_[bucket];
    if (passed >= wanted) return Duration(std::min(max_, static_cast<std::int64_t>(upper_end(bucket))));
  }
  return max();
}

}  // namespace stile::loadgen
