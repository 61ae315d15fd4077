#include "sys/local_periods.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <string>

namespace stile::sys {
namespace {

using namespace std::chrono;

/// The zone, by a rule that needs no file, until the test ends.
class Zone {
 public:
  explicit Zone(const char* rule) {
    if (const char* const before = std::getenv("TZ")) before_ = before;
    ::setenv("TZ", rule, 1);
    ::tzset();
  }
  ~Zone() {
    if (before_.empty()) {
      ::unsetenv("TZ");
    } else {
      ::setenv("TZ", before_.c_str(), 1);
    }
    ::tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

 private:
  std::string before_;
};

constexpr WallTime utc(sys_days day, int hour, int minute = 0) {
  return day + hours(hour) + minutes(minute);
}

TEST(LocalPeriods, DaysAndMonthsBeginAtLocalMidnight) {
  const Zone zone("XST-5:30");  // east of Greenwich
  const LocalPeriods local = local_periods(utc(2026y / March / 1, 20, 15));
  EXPECT_EQ(local.day_begin, utc(2026y / March / 1, 18, 30));
  EXPECT_EQ(local.day_end, utc(2026y / March / 2, 18, 30));
  EXPECT_EQ(local.month_begin, utc(2026y / February / 28, 18, 30));
}

TEST(LocalPeriods, ABeginningIsInItsPeriod) {
  const Zone zone("UTC0");
  const LocalPeriods local = local_periods(utc(2026y / January / 1, 0));
  EXPECT_EQ(local.day_begin, utc(2026y / January / 1, 0));
  EXPECT_EQ(local.month_begin, local.day_begin);
  const LocalPeriods last = local_periods(utc(2026y / January / 1, 0) - microseconds(1));
  EXPECT_EQ(last.day_end, local.day_begin);
  EXPECT_EQ(last.month_begin, utc(2025y / December / 1, 0));
}

TEST(LocalPeriods, ADayMayHaveAnotherLength) {
  const Zone zone("CET-1CEST,M3.5.0,M10.5.0/3");
  const LocalPeriods spring = local_periods(utc(2026y / March / 29, 12));
  EXPECT_EQ(spring.day_end - spring.day_begin, hours(23));
  const LocalPeriods autumn = local_periods(utc(2026y / October / 25, 12));
  EXPECT_EQ(autumn.day_end - autumn.day_begin, hours(25));
  EXPECT_EQ(autumn.month_begin, utc(2026y / September / 30, 22));
}

}  // namespace
}  // namespace stile::sys
