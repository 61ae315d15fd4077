#include "loadgen/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace stile::loadgen {
namespace {

constexpr double fractions[] = {0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0};

/// The nearest-rank percentile, from the sorted values themselves.
std::int64_t exact(const std::vector<std::int64_t>& sorted, double fraction) {
  const auto rank = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

void expect_close(std::vector<std::int64_t> values) {
  Histogram histogram;
  for (const std::int64_t value : values) histogram.record(Duration(value));
  std::ranges::sort(values);
  for (const double fraction : fractions) {
    const std::int64_t want = exact(values, fraction);
    const std::int64_t got = histogram.percentile(fraction).count();
    EXPECT_GE(got, want) << fraction;
    EXPECT_LE(static_cast<double>(got - want), static_cast<double>(want) / 128) << fraction;
  }
  EXPECT_EQ(histogram.min().count(), values.front());
  EXPECT_EQ(histogram.max().count(), values.back());
  EXPECT_EQ(histogram.count(), values.size());
}

/// A fixed multiplicative generator: the same values in each run.
class Numbers {
 public:
  std::uint64_t next() { return state_ = state_ * 6364136223846793005U + 1442695040888963407U; }

 private:
  std::uint64_t state_ = 1;
};

TEST(Histogram, IsExactWhereBucketsHoldOneValue) {
  std::vector<std::int64_t> values;
  for (std::int64_t value = 0; value < 256; ++value) values.push_back(value);
  Histogram histogram;
  for (const std::int64_t value : values) histogram.record(Duration(value));
  for (const double fraction : fractions) EXPECT_EQ(histogram.percentile(fraction).count(), exact(values, fraction));
}

TEST(Histogram, StaysWithinItsErrorAtEveryPowerOfTwo) {
  for (int bits = 8; bits < 41; ++bits) {
    const std::int64_t power = std::int64_t{1} << bits;
    if (power + power / 3 > Histogram::longest.count()) break;
    expect_close({power - 1, power, power + 1, power + power / 3});
  }
}

TEST(Histogram, StaysWithinItsErrorForManySpreadValues) {
  Numbers numbers;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 20'000; ++i) values.push_back(static_cast<std::int64_t>(numbers.next() >> (24 + i % 30)));
  for (std::int64_t& value : values) value = std::min(value, std::int64_t{Histogram::longest.count()});
  expect_close(values);
}

TEST(Histogram, KeepsTheMeanExact) {
  Histogram histogram;
  for (const int value : {1000, 2000, 6000}) histogram.record(Duration(value));
  EXPECT_EQ(histogram.mean(), Duration(3000));
}

TEST(Histogram, HoldsWhatIsOutOfRangeAtTheEnds) {
  Histogram histogram;
  histogram.record(Duration(-5));
  histogram.record(std::chrono::hours(9));
  EXPECT_EQ(histogram.min(), Duration(0));
  EXPECT_EQ(histogram.max(), Duration(Histogram::longest));
  EXPECT_EQ(histogram.percentile(1), Duration(Histogram::longest));
}

TEST(Histogram, IsZeroThroughoutWhereNothingWasRecorded) {
  Histogram histogram;
  histogram.record(Duration(7));
  histogram.clear();
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.min(), Duration(0));
  EXPECT_EQ(histogram.max(), Duration(0));
  EXPECT_EQ(histogram.mean(), Duration(0));
  EXPECT_EQ(histogram.percentile(0.5), Duration(0));
}

}  // namespace
}  // namespace stile::loadgen
