#include "sys/local_clock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace stile::sys {
namespace {

using namespace std::chrono_literals;

constexpr WallTime at(int day, std::chrono::minutes time) {
  return std::chrono::sys_days{std::chrono::year{2026} / 3 / day} + time;
}

class LocalClockTest : public ::testing::Test {
 protected:
  void use_zone(const char* zone) {
    setenv("TZ", zone, 1);
    tzset();
  }
  void TearDown() override {
    unsetenv("TZ");
    tzset();
  }
};

TEST_F(LocalClockTest, CountsDaysFromMonday) {
  use_zone("UTC0");
  LocalClock clock;
  EXPECT_EQ(clock.week_time(at(2, 0min)), (WeekTime{0, 0}));  // 2 March 2026 is a Monday
  EXPECT_EQ(clock.week_time(at(2, 61min) + 59s), (WeekTime{0, 61}));
  EXPECT_EQ(clock.week_time(at(8, 1439min)), (WeekTime{6, 1439}));
}

TEST_F(LocalClockTest, KnowsTheZoneAndItsSummer) {
  use_zone("CET-1CEST,M3.5.0,M10.5.0/3");
  LocalClock clock;
  EXPECT_EQ(clock.week_time(at(28, 23h)), (WeekTime{6, 0}));
  EXPECT_EQ(clock.week_time(at(29, 59min)), (WeekTime{6, 119}));
  EXPECT_EQ(clock.week_time(at(29, 60min)), (WeekTime{6, 180}));  // 02:00 becomes 03:00
  EXPECT_EQ(clock.week_time(at(28, 23h)), (WeekTime{6, 0}));      // set back
}

}  // namespace
}  // namespace stile::sys
