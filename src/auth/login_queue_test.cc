#include "auth/login_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace stile::auth {
namespace {

using namespace std::chrono_literals;

Address source(int number) {
  return Address::v4(10, 0, static_cast<std::uint8_t>(number / 256), static_cast<std::uint8_t>(number % 256));
}

std::unique_ptr<LoginJob> job(int from, std::uint16_t number, LoginJob::Clock::time_point since = {}) {
  auto made = std::make_unique<LoginJob>();
  made->digest[0] = static_cast<std::uint8_t>(number >> 8);
  made->digest[1] = static_cast<std::uint8_t>(number & 0xFF);
  made->source = {source(from), ""};
  made->since = since;
  made->waiters.push_back({nullptr, number});
  return made;
}

std::uint64_t next(LoginQueue& queue) {
  LoginJob* const taken = queue.take();
  return taken == nullptr ? 0 : queue.finish(taken)->waiters.front().ticket;
}

TEST(LoginQueue, SourcesTakeTurns) {
  LoginQueue queue;
  for (std::uint16_t number = 11; number <= 14; ++number) EXPECT_TRUE(queue.add(job(1, number)));
  EXPECT_TRUE(queue.add(job(2, 21)));
  EXPECT_TRUE(queue.add(job(3, 31)));
  EXPECT_TRUE(queue.add(job(3, 32)));
  std::string order;
  while (const std::uint64_t ticket = next(queue)) order += std::to_string(ticket) + " ";
  EXPECT_EQ(order, "11 21 31 12 32 13 14 ");
}

TEST(LoginQueue, EachSourceMayHaveFourWaiting) {
  LoginQueue queue;
  for (std::uint16_t number = 1; number <= 4; ++number) EXPECT_TRUE(queue.add(job(1, number)));
  EXPECT_FALSE(queue.add(job(1, 5)));
  EXPECT_TRUE(queue.add(job(2, 6)));
  LoginJob* const taken = queue.take();
  EXPECT_TRUE(queue.add(job(1, 7))) << "what is at work does not wait";
  EXPECT_FALSE(queue.add(job(1, 8)));
  static_cast<void>(queue.finish(taken));
}

TEST(LoginQueue, WhatIsRightOnceOnlyIsJudgedEachTime) {
  LoginQueue queue;
  for (int i = 0; i < 2; ++i) {
    auto once = job(1, 7);
    once->alone = true;
    EXPECT_TRUE(queue.add(std::move(once)));
  }
  EXPECT_TRUE(queue.add(job(1, 7))) << "nor does another one join it";
  EXPECT_EQ(queue.waiting(), 3U);
}

TEST(LoginQueue, DrainsWhatWaitsAndWhatIsAtWork) {
  LoginQueue queue;
  EXPECT_TRUE(queue.add(job(1, 1)));
  EXPECT_TRUE(queue.add(job(1, 2)));
  static_cast<void>(queue.take());
  EXPECT_EQ(queue.drain().size(), 2U);
  EXPECT_EQ(queue.take(), nullptr);
}

TEST(LoginQueue, IsNeverAboveItsBound) {
  LoginQueue queue;
  std::size_t added = 0;
  for (std::uint16_t number = 1; number <= 1000; ++number) added += queue.add(job(number, number)) ? 1U : 0U;
  EXPECT_EQ(added, limits::login_queue_max);
  EXPECT_EQ(queue.waiting(), limits::login_queue_max);
}

// However many an attacker has waiting, somebody else's turn is the next but one (threat TF1).
TEST(LoginQueue, AnAttackerDelaysOthersByOneHash) {
  LoginQueue queue;
  std::uint16_t number = 1;
  for (int round = 0; round < 100; ++round) {
    while (queue.add(job(1, number))) ++number;
    const std::uint16_t honest = 60'000;
    ASSERT_TRUE(queue.add(job(2, honest)));
    const std::uint64_t first = next(queue);
    ASSERT_TRUE(first == honest || next(queue) == honest);
  }
}

TEST(LoginQueue, EqualOnesAreOneJob) {
  LoginQueue queue;
  EXPECT_TRUE(queue.add(job(1, 1)));
  for (int i = 2; i < 1000; ++i) {
    auto equal = job(i, 1);
    equal->waiters[0].ticket = static_cast<std::uint64_t>(i);
    EXPECT_TRUE(queue.add(std::move(equal))) << "they cost no room";
  }
  LoginJob* const taken = queue.take();
  ASSERT_NE(taken, nullptr);
  auto late = job(5, 1);
  late->waiters[0].ticket = 1000;
  EXPECT_TRUE(queue.add(std::move(late))) << "one at work can be joined as well";
  EXPECT_EQ(queue.take(), nullptr);
  EXPECT_EQ(queue.finish(taken)->waiters.size(), 1000U);
}

TEST(LoginQueue, WhoWaitedTooLongIsGivenUp) {
  LoginQueue queue;
  const LoginJob::Clock::time_point start{};
  EXPECT_TRUE(queue.add(job(1, 1, start)));
  EXPECT_TRUE(queue.add(job(1, 2, start + 2s)));
  EXPECT_TRUE(queue.expire(start + 3s, 3s).empty());
  const auto expired = queue.expire(start + 4s, 3s);
  ASSERT_EQ(expired.size(), 1U);
  EXPECT_EQ(expired[0]->waiters[0].ticket, 1U);
  EXPECT_EQ(next(queue), 2U);
  EXPECT_EQ(next(queue), 0U);
  EXPECT_TRUE(queue.add(job(1, 3, start)));
  EXPECT_EQ(queue.expire(start + 9s, 3s).size(), 1U);
  EXPECT_EQ(queue.take(), nullptr) << "nobody's turn is left";
}

TEST(LoginQueue, WhatNobodyWantsIsNotVerified) {
  LoginQueue queue;
  EXPECT_TRUE(queue.add(job(1, 1)));
  EXPECT_TRUE(queue.add(job(1, 2)));
  auto joined = job(2, 2);
  joined->waiters[0].ticket = 22;
  EXPECT_TRUE(queue.add(std::move(joined)));
  queue.abandon({nullptr, 1});
  queue.abandon({nullptr, 2});
  queue.abandon({nullptr, 99});
  EXPECT_EQ(next(queue), 22U) << "somebody else waits for this one";
  EXPECT_EQ(queue.waiting(), 0U);
  EXPECT_TRUE(queue.add(job(1, 3)));
  LoginJob* const taken = queue.take();
  queue.abandon({nullptr, 3});
  EXPECT_TRUE(queue.finish(taken)->waiters.empty());
}

TEST(LoginQueue, UsersOfOneAddressMayTakeTurnsByName) {
  LoginQueue queue;
  for (std::uint16_t number = 1; number <= 8; ++number) {
    auto made = job(1, number);
    made->source.user = number % 2 == 0 ? "alice" : "bob";
    EXPECT_TRUE(queue.add(std::move(made)));
  }
}

}  // namespace
}  // namespace stile::auth
