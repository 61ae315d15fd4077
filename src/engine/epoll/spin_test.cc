#include "engine/epoll/spin.h"

#include <gtest/gtest.h>

namespace stile::engine {
namespace {

using namespace std::chrono_literals;

// Rounds of one length: how many of them looked. `finds`: whether a look finds something.
int looks(Spin& spin, int rounds, Duration round, bool finds, bool crowded = false) {
  int count = 0;
  for (int i = 0; i < rounds; ++i) {
    if (spin.budget() == Duration::zero()) {
      spin.slept(round);
      continue;
    }
    ++count;
    if (finds) {
      spin.found();
    } else {
      spin.missed(crowded);
    }
  }
  return count;
}

TEST(Spin, IsNotTriedWhereTheLoopIsSlow) {
  Spin spin(20us);
  EXPECT_EQ(looks(spin, 100'000, 1ms, true), 0);
}

TEST(Spin, IsKeptUpWhereItFindsSomething) {
  Spin spin(20us);
  EXPECT_GT(looks(spin, 10'000, 30us, true), 9'900);
}

TEST(Spin, IsGivenUpWhereItFindsNothing) {
  Spin spin(20us);
  EXPECT_LT(looks(spin, 1'000'000, 10us, false), 200);
}

TEST(Spin, EndsAtOnceWhereAnotherThreadWantsTheCore) {
  Spin spin(20us);
  EXPECT_LT(looks(spin, 1'000'000, 10us, false, true), 50);
}

TEST(Spin, ComesBackWhenItPaysAgain) {
  Spin spin(20us);
  looks(spin, 100'000, 10us, false);
  EXPECT_GT(looks(spin, 100'000, 10us, true), 50'000);
  looks(spin, 20, 10us, false);
  EXPECT_GT(looks(spin, 1'000, 10us, true), 800) << "what has paid is not forgotten for one pause";
}

TEST(Spin, EndsWhereTheLoopTurnsIdle) {
  Spin spin(20us);
  looks(spin, 1'000, 10us, true);
  EXPECT_LE(looks(spin, 10, 1s, false), 8);
  EXPECT_EQ(spin.budget(), Duration::zero());
}

TEST(Spin, CanBeForbidden) {
  Spin spin(Duration::zero());
  EXPECT_EQ(looks(spin, 100'000, 1us, true), 0);
}

}  // namespace
}  // namespace stile::engine
