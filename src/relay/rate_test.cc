// Budgets alone: turns, refunds, shares of many flows and threads. Time is an argument.
#include "relay/rate.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "relay/quota.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;

constexpr Instant start{1'000s};

TEST(RateBudget, TurnsFollowOneAnother) {
  RateBudget budget(1'000'000);
  EXPECT_EQ(budget.reserve(1'000, start), start - RateBudget::credit);
  EXPECT_EQ(budget.reserve(9'000, start), start - 9ms);
  EXPECT_EQ(budget.reserve(5'000, start), start);
  EXPECT_EQ(budget.reserve(5'000, start), start + 5ms);
}

TEST(RateBudget, WhatIsRefundedIsTheNextOnes) {
  RateBudget budget(1'000'000);
  (void)budget.reserve(10'000, start);
  (void)budget.reserve(4'000, start);
  budget.refund(3'000);
  EXPECT_EQ(budget.reserve(1, start), start + 1ms);
}

TEST(RateBudget, SavesUpNoMoreThanItsCredit) {
  RateBudget budget(1'000'000);
  (void)budget.reserve(1'000, start);
  EXPECT_EQ(budget.reserve(1'000, start + 1h), start + 1h - RateBudget::credit);
}

TEST(RateBudget, AQuantumIsBoundedAndShrinksWithTheQueue) {
  RateBudget budget(1'000'000);
  EXPECT_EQ(budget.quantum(start), 8'000U);
  (void)budget.reserve(10'000, start);
  (void)budget.reserve(24'000, start);
  EXPECT_EQ(budget.quantum(start), 2'000U);
  EXPECT_EQ(RateBudget(100'000'000'000).quantum(start), limits::rate_quantum_octets_max);
  EXPECT_EQ(RateBudget(100'000).quantum(start), limits::rate_quantum_octets);
  EXPECT_EQ(RateBudget(2'000).quantum(start), 100U) << "a slow rate is smooth as well";
  EXPECT_EQ(RateBudget(1).quantum(start), 1U);
}

TEST(RateBudget, ARateMayChange) {
  RateBudget budget(1'000'000);
  (void)budget.reserve(10'000, start);
  budget.set_rate(2'000'000);
  (void)budget.reserve(10'000, start);
  EXPECT_EQ(budget.reserve(1, start), start + 5ms);
}

TEST(RateBudget, DatagramsPassOrAreDropped) {
  RateBudget budget(1'000'000);
  std::size_t passed = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (budget.take(1'000, start + i * 1ms / 10)) ++passed;  // ten times what it carries
  }
  EXPECT_NEAR(static_cast<double>(passed), 1'000.0, 70.0);  // with its small burst
}

TEST(Flow, TakesTheLatestTurnAndTheLeastQuantum) {
  RateBudget wide(10'000'000);
  RateBudget narrow(1'000'000);
  Flow flow;
  EXPECT_FALSE(flow.is_metered());
  flow.draw_on(wide);
  flow.draw_on(narrow);
  EXPECT_TRUE(flow.is_metered());
  EXPECT_EQ(flow.allowed(start), 8'000U);
  EXPECT_EQ(flow.allowed(start), 8'000U) << "a turn lasts until something moved";
  flow.moved(8'000);
  EXPECT_EQ(flow.allowed(start), 8'000U) << "within the credit";
  flow.moved(8'000);
  EXPECT_EQ(flow.allowed(start), 0U);
  EXPECT_EQ(flow.due(), start + 6ms);
  EXPECT_GT(flow.allowed(flow.due()), 0U);
}

TEST(Flow, GivesBackWhatItDidNotMove) {
  RateBudget budget(1'000'000);
  Flow flow;
  flow.draw_on(budget);
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_GT(flow.allowed(start), 0U) << "nothing ever moved";
    flow.moved(0);
  }
  ASSERT_GT(flow.allowed(start), 0U);
  flow.moved(10'000'000);  // more than allowed is as good as all of it
  EXPECT_EQ(budget.reserve(1, start), start - 2ms);
}

TEST(Flow, ADatagramTakesOfEveryBudgetOrOfNone) {
  RateBudget wide(1'000'000'000);
  RateBudget narrow(1'000);
  Flow flow;
  flow.draw_on(wide);
  flow.draw_on(narrow);
  EXPECT_TRUE(flow.take(1'000, start));
  const Instant before = wide.reserve(1, start);
  EXPECT_FALSE(flow.take(1'000, start));
  EXPECT_EQ(wide.reserve(1, start), before + 1ns);
}

// However many threads reserve, the turns of all of them fill the time exactly.
TEST(RateBudget, IsExactUnderThreads) {
  constexpr int threads = 4;
  constexpr int turns = 20'000;
  RateBudget budget(1'000'000'000);
  std::vector<std::thread> flows;
  for (int i = 0; i < threads; ++i) {
    flows.emplace_back([&] {
      for (int turn = 0; turn < turns; ++turn) {
        (void)budget.reserve(1'000, start);
        if (turn % 2 == 0) budget.refund(500);
      }
    });
  }
  for (std::thread& flow : flows) flow.join();
  const Duration spent = threads * turns * 750ns;
  EXPECT_EQ(budget.reserve(1, start), start - RateBudget::credit + spent);
}

TEST(Quota, IsUsedUpAndThenExceeded) {
  Quota quota;
  quota.charge(1'000'000);
  EXPECT_FALSE(quota.is_used_up()) << "there is none";
  quota.set_used(0);
  quota.set_most(1'000);
  quota.charge(999);
  EXPECT_FALSE(quota.is_used_up());
  quota.charge(1);
  EXPECT_TRUE(quota.is_used_up());
  EXPECT_FALSE(quota.is_exceeded());
  quota.charge(1);
  EXPECT_TRUE(quota.is_exceeded());
}

}  // namespace
}  // namespace stile::relay
