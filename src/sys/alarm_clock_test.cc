#include "sys/alarm_clock.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>

#include "sys/main_loop.h"
#include "sys/wait_any.h"

namespace stile::sys {
namespace {

using namespace std::chrono_literals;

bool rings_within(const AlarmClock& clock, Duration longest) {
  return wait_readable(std::array{clock.descriptor()}, longest).has_value();
}

TEST(AlarmClock, RingsWhenTheTimeIsOverAndGoesOn) {
  auto clock = AlarmClock::create();
  ASSERT_TRUE(clock);
  EXPECT_FALSE(rings_within(*clock, 0ms));
  const Duration before = monotonic_now();
  clock->set(20ms);
  ASSERT_TRUE(rings_within(*clock, 30s));
  EXPECT_GE(monotonic_now() - before, 20ms);
  EXPECT_TRUE(rings_within(*clock, 0ms));
}

TEST(AlarmClock, IsSetAnewAndStopped) {
  auto clock = AlarmClock::create();
  ASSERT_TRUE(clock);
  clock->set(Duration::zero());
  ASSERT_TRUE(rings_within(*clock, 30s));
  clock->set(1h);
  EXPECT_FALSE(rings_within(*clock, 0ms));
  clock->set(-5ms);
  EXPECT_TRUE(rings_within(*clock, 30s));
  clock->set(std::nullopt);
  EXPECT_FALSE(rings_within(*clock, 10ms));
}

}  // namespace
}  // namespace stile::sys
