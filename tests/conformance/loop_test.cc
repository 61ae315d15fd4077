// The loop itself: turns, posts, wakes, timers, cancelling.
#include <array>
#include <thread>

#include "conformance/engine_harness.h"

namespace stile::engine::conformance {
namespace {

using namespace std::chrono_literals;

class LoopConformance : public EngineTest {};
INSTANTIATE_TEST_SUITE_P(Engines, LoopConformance, testing::ValuesIn(engine_kinds()), kind_name);

TEST_P(LoopConformance, PostCompletesOnceAndNeverInline) {
  Counter<Operation> posted;
  engine().post(posted.record);
  EXPECT_EQ(posted.completions(), 0);
  EXPECT_TRUE(posted.record.pending());
  run_once();
  EXPECT_EQ(posted.done, 1);
  EXPECT_FALSE(posted.record.pending());
}

TEST_P(LoopConformance, WhatACompletionPostsWaitsForTheNextTurn) {
  Counter<Operation> first;
  Counter<Operation> second;
  first.on_done = [&] { engine().post(second.record); };
  engine().post(first.record);
  run_once();
  EXPECT_EQ(first.done, 1);
  EXPECT_EQ(second.done, 0);
  run_once();
  EXPECT_EQ(second.done, 1);
}

TEST_P(LoopConformance, AnOperationMayBeStartedAgainInItsOwnCompletion) {
  Counter<Operation> again;
  again.on_done = [&] {
    if (again.done < 100) {
      engine().post(again.record);
    } else {
      engine().stop();
    }
  };
  engine().post(again.record);
  engine().run();
  EXPECT_EQ(again.done, 100);
}

TEST_P(LoopConformance, StopBeforeRunGivesOneTurn) {
  Counter<Operation> again;
  again.on_done = [&] { engine().post(again.record); };
  engine().post(again.record);
  run_once();
  EXPECT_EQ(again.done, 1);
  again.on_done = nullptr;
  run_once();
}

TEST_P(LoopConformance, TimersCompleteInOrderAndNotEarly) {
  std::array<Counter<Timer>, 4> timers;
  const std::array<Duration, 4> delays{30ms, 10ms, 40ms, 20ms};
  std::vector<std::size_t> order;
  const Instant start = engine().now();
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].on_done = [&, i] {
      EXPECT_GE(engine().now(), start + delays[i]);
      order.push_back(i);
    };
    engine().start_timer(timers[i].record, start + delays[i]);
    EXPECT_EQ(timers[i].record.deadline(), start + delays[i]);
  }
  ASSERT_TRUE(run_until([&] { return order.size() == timers.size(); }));
  EXPECT_EQ(order, (std::vector<std::size_t>{1, 3, 0, 2}));
}

TEST_P(LoopConformance, ATimerInThePastCompletesAtOnceButNotInline) {
  Counter<Timer> timer;
  engine().start_timer(timer.record, engine().now() - 1s);
  EXPECT_EQ(timer.completions(), 0);
  run_once();
  EXPECT_EQ(timer.done, 1);
}

TEST_P(LoopConformance, StartingARunningTimerMovesIt) {
  Counter<Timer> timer;
  const Instant start = engine().now();
  engine().start_timer(timer.record, start + 1h);
  engine().start_timer(timer.record, start + 5ms);
  ASSERT_TRUE(run_until([&] { return timer.done == 1; }));
  engine().start_timer(timer.record, engine().now() + 1ms);
  engine().start_timer(timer.record, engine().now() + 1h);
  run_for(20ms);
  EXPECT_EQ(timer.completions(), 1);
  engine().cancel(timer.record);
  run_once();
  EXPECT_EQ(timer.canceled, 1);
}

TEST_P(LoopConformance, ATimerMovedWhileItsCompletionIsQueuedCompletesOnceLater) {
  Counter<Timer> first;
  Counter<Timer> second;
  const Instant due = engine().now() - 1ms;  // both expire in one turn, in either order
  Instant moved{};
  const auto move_other = [&](Counter<Timer>& other) {
    return [&] {
      if (moved != Instant{}) return;
      moved = engine().now() + 20ms;
      engine().start_timer(other.record, moved);
    };
  };
  first.on_done = move_other(second);
  second.on_done = move_other(first);
  engine().start_timer(first.record, due);
  engine().start_timer(second.record, due);
  run_once();
  EXPECT_EQ(first.completions() + second.completions(), 1);
  ASSERT_TRUE(run_until([&] { return first.done + second.done == 2; }));
  EXPECT_GE(engine().now(), moved);
  EXPECT_EQ(first.done, 1);
  EXPECT_EQ(second.done, 1);
}

TEST_P(LoopConformance, ATimerMovedWhileQueuedCanBeCancelledAndExpireInTheSameTurn) {
  std::array<Counter<Timer>, 3> timers;
  bool first_seen = false;
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].on_done = [&, i] {
      if (std::exchange(first_seen, true)) return;
      for (std::size_t other = 0; other < timers.size(); ++other) {
        if (other == i) continue;
        engine().start_timer(timers[other].record, engine().now() + 1h);
        engine().cancel(timers[other].record);
      }
    };
    engine().start_timer(timers[i].record, engine().now() - 1ms);
  }
  run_once();
  run_once();
  int done = 0;
  int canceled = 0;
  for (const Counter<Timer>& timer : timers) {
    done += timer.done;
    canceled += timer.canceled;
    EXPECT_EQ(timer.completions(), 1);
  }
  EXPECT_EQ(done, 1);
  EXPECT_EQ(canceled, 2);
}

TEST_P(LoopConformance, CancellingATimerCompletesItOnceAndNotInline) {
  Counter<Timer> timer;
  engine().cancel(timer.record);  // not pending: nothing
  engine().start_timer(timer.record, engine().now() + 1h);
  engine().cancel(timer.record);
  engine().cancel(timer.record);
  EXPECT_EQ(timer.completions(), 0);
  run_once();
  EXPECT_EQ(timer.canceled, 1);
  EXPECT_EQ(timer.done, 0);
}

TEST_P(LoopConformance, CancellingAnExpiredTimerKeepsItsOneCompletion) {
  Counter<Timer> first;
  Counter<Timer> second;
  first.on_done = [&] { engine().cancel(second.record); };
  second.on_done = [&] { engine().cancel(first.record); };
  engine().start_timer(first.record, engine().now() - 2ms);
  engine().start_timer(second.record, engine().now() - 1ms);
  run_once();
  run_once();
  EXPECT_EQ(first.completions(), 1);
  EXPECT_EQ(second.completions(), 1);
}

TEST_P(LoopConformance, WakeCompletesItsOperationAndMayComeManyTimes) {
  Counter<Operation> woken;
  engine().on_wake(&woken.record);
  engine().wake();
  engine().wake();
  EXPECT_EQ(woken.done, 0);
  ASSERT_TRUE(run_until([&] { return woken.done >= 1; }));
  const int before = woken.done;
  engine().wake();
  ASSERT_TRUE(run_until([&] { return woken.done > before; }));
  engine().on_wake(nullptr);
  engine().wake();
  run_for(2ms);
  EXPECT_FALSE(woken.record.pending());
}

TEST_P(LoopConformance, AWakeInTheWakesOwnCompletionIsNotLost) {
  Counter<Operation> woken;
  woken.on_done = [&] {
    if (woken.done < 10) engine().wake();
  };
  engine().on_wake(&woken.record);
  engine().wake();
  EXPECT_TRUE(run_until([&] { return woken.done == 10; }));
}

TEST_P(LoopConformance, TimeAndChance) {
  EXPECT_NE(engine().random(), engine().random());
  const Instant before = engine().now();
  const WallTime wall = engine().wall_now();
  EXPECT_GT(wall, WallTime{std::chrono::sys_days{std::chrono::year{2020} / 1 / 1}});
  run_for(5ms);
  EXPECT_GE(engine().now(), before + 5ms);
  EXPECT_GE(engine().wall_now(), wall);
}

TEST_P(LoopConformance, TheClockStandsStillWithinATurn) {
  Counter<Operation> posted;
  Instant first{};
  posted.on_done = [&] {
    first = engine().now();
    std::this_thread::sleep_for(2ms);
    EXPECT_EQ(engine().now(), first);
  };
  engine().post(posted.record);
  run_once();
}

}  // namespace
}  // namespace stile::engine::conformance
