#include "loadgen/schedule.h"

#include <gtest/gtest.h>

namespace stile::loadgen {
namespace {

using namespace std::chrono_literals;

constexpr Instant start{10s};

TEST(Schedule, IsDueAtTheRateFromTheStartOn) {
  Schedule schedule(start, 4);
  EXPECT_EQ(schedule.take(start - 1ns), std::nullopt);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(schedule.take(start + 10s), start + i * 250ms) << i;
  EXPECT_EQ(schedule.next(), start + 2250ms);
}

TEST(Schedule, LetsNoRoundingAddUp) {
  Schedule schedule(start, 3);
  for (int i = 0; i < 3'000'000; ++i) ASSERT_TRUE(schedule.take(start + 2'000'000s));
  EXPECT_EQ(schedule.next(), start + 1'000'000s);
}

TEST(Schedule, OwesWhatAStallKeptWaitingWithTheTimeItWasDue) {
  Schedule schedule(start, 1000);
  ASSERT_EQ(schedule.take(start), start);
  const Instant after_a_stall = start + 100ms;
  EXPECT_EQ(schedule.behind(after_a_stall), 100U);
  int taken = 0;
  Duration longest{};
  while (const auto due = schedule.take(after_a_stall)) {
    longest = std::max(longest, after_a_stall - *due);
    ++taken;
  }
  EXPECT_EQ(taken, 100);
  EXPECT_EQ(longest, 99ms);
  EXPECT_EQ(schedule.behind(after_a_stall), 0U);
}

TEST(Schedule, GoesAsFastAsItsFastestRate) {
  Schedule schedule(start, Schedule::rate_max);
  ASSERT_TRUE(schedule.take(start));
  EXPECT_EQ(schedule.next(), start + 10ns);
  EXPECT_EQ(schedule.behind(start + 1s), Schedule::rate_max);
}

}  // namespace
}  // namespace stile::loadgen
