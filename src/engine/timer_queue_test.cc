#include "engine/timer_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "engine/prng.h"

namespace stile::engine {
namespace {

Instant at(std::int64_t nanoseconds) {
  return Instant{Duration{nanoseconds}};
}

TEST(TimerQueue, GivesTimersInOrderOfDeadline) {
  std::array<Timer, 5> timers;
  TimerQueue queue;
  const std::array<std::int64_t, 5> deadlines{30, 10, 50, 20, 40};
  for (std::size_t i = 0; i < timers.size(); ++i) queue.start(timers[i], at(deadlines[i]));
  EXPECT_EQ(queue.next(), at(10));
  EXPECT_EQ(queue.take_due(at(9)), nullptr);
  for (const std::size_t expected : {1u, 3u, 0u, 4u, 2u}) EXPECT_EQ(queue.take_due(at(100)), &timers[expected]);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST(TimerQueue, StartingAgainMovesATimerEitherWay) {
  Timer first;
  Timer second;
  TimerQueue queue;
  queue.start(first, at(10));
  queue.start(second, at(20));
  queue.start(first, at(30));
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.next(), at(20));
  queue.start(first, at(5));
  EXPECT_EQ(first.deadline(), at(5));
  EXPECT_EQ(queue.take_due(at(5)), &first);
  EXPECT_TRUE(queue.remove(second));
  EXPECT_FALSE(queue.remove(second));
  EXPECT_FALSE(queue.remove(first));
}

// The naive oracle: the least deadline by linear search over all running timers.
TEST(TimerQueue, EqualsANaiveQueueUnderRandomCalls) {
  Prng prng{7};
  const auto timers = std::make_unique<std::array<Timer, 200>>();
  std::vector<bool> running(timers->size());
  TimerQueue queue;
  const auto least = [&] {
    std::optional<Instant> found;
    for (std::size_t i = 0; i < timers->size(); ++i) {
      if (running[i] && (!found || (*timers)[i].deadline() < *found)) found = (*timers)[i].deadline();
    }
    return found;
  };
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t index = prng.below(timers->size());
    Timer& timer = (*timers)[index];
    switch (prng.below(4)) {
      case 0:
      case 1:
        queue.start(timer, at(static_cast<std::int64_t>(prng.below(1000))));
        running[index] = true;
        break;
      case 2:
        EXPECT_EQ(queue.remove(timer), running[index]);
        running[index] = false;
        break;
      default:
        if (Timer* const due = queue.take_due(at(static_cast<std::int64_t>(prng.below(300))))) {
          EXPECT_EQ(due->deadline(), least());
          running[static_cast<std::size_t>(due - timers->data())] = false;
        }
    }
    ASSERT_EQ(queue.next(), least());
    ASSERT_EQ(queue.size(), static_cast<std::size_t>(std::count(running.begin(), running.end(), true)));
  }
}

}  // namespace
}  // namespace stile::engine
