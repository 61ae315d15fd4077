// What is with the helper and what waits: the state machine of the link, without a helper.
#include "auth/helper_exchange.h"

#include <gtest/gtest.h>

namespace stile::auth {
namespace {

using namespace std::chrono_literals;
using Time = HelperExchange::Time;

std::unique_ptr<LoginJob> job(std::uint16_t number, Time since = {}) {
  auto made = std::make_unique<LoginJob>();
  made->digest[0] = static_cast<std::uint8_t>(number >> 8);
  made->digest[1] = static_cast<std::uint8_t>(number & 0xFF);
  made->source = {Address::v4(10, 0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)), ""};
  made->since = since;
  made->waiters.push_back({nullptr, number});
  return made;
}

TEST(HelperExchange, TheHelperHasOnlySoManyAtOnce) {
  HelperExchange exchange(3s);
  for (std::uint16_t number = 1; number <= limits::helper_requests_max + 2; ++number)
    ASSERT_TRUE(exchange.add(job(number)));
  std::vector<std::uint64_t> ids;
  while (const auto request = exchange.next()) ids.push_back(request->id);
  EXPECT_EQ(ids.size(), limits::helper_requests_max);
  EXPECT_EQ(exchange.settle(ids[5])->waiters.front().ticket, 6U);
  EXPECT_TRUE(exchange.next()) << "a verdict makes room";
  EXPECT_FALSE(exchange.next());
}

TEST(HelperExchange, AVerdictCountsOnceAndForWhatWasAsked) {
  HelperExchange exchange(3s);
  ASSERT_TRUE(exchange.add(job(1)));
  EXPECT_EQ(exchange.settle(1), nullptr) << "nothing was asked yet";
  const auto id = exchange.next().value().id;
  EXPECT_EQ(exchange.settle(id + 1), nullptr);
  EXPECT_NE(exchange.settle(id), nullptr);
  EXPECT_EQ(exchange.settle(id), nullptr);
}

TEST(HelperExchange, WhatWaitsAndWhatWasSentExpiresAlike) {
  HelperExchange exchange(3s);
  const Time start{};
  ASSERT_TRUE(exchange.add(job(1, start)));
  const auto id = exchange.next().value().id;
  ASSERT_TRUE(exchange.add(job(2, start + 1s)));
  EXPECT_EQ(exchange.due(), start + 3s);
  EXPECT_TRUE(exchange.expire(start + 3s).empty()) << "the time is not over yet";
  EXPECT_EQ(exchange.expire(start + 3s + 1ms).size(), 1U);
  EXPECT_EQ(exchange.settle(id), nullptr) << "a late verdict is nobody's";
  EXPECT_EQ(exchange.due(), start + 4s);
  EXPECT_EQ(exchange.expire(start + 5s).size(), 1U);
  EXPECT_FALSE(exchange.due());
}

TEST(HelperExchange, WhoeverLeavesIsNotToldButJoinersAre) {
  HelperExchange exchange(3s);
  ASSERT_TRUE(exchange.add(job(1)));
  const auto id = exchange.next().value().id;
  auto joiner = job(1);
  joiner->waiters.front().ticket = 99;
  ASSERT_TRUE(exchange.add(std::move(joiner)));
  EXPECT_FALSE(exchange.next()) << "it joined the one at work";
  exchange.abandon({nullptr, 1});
  const auto settled = exchange.settle(id);
  ASSERT_NE(settled, nullptr);
  ASSERT_EQ(settled->waiters.size(), 1U);
  EXPECT_EQ(settled->waiters.front().ticket, 99U);
}

TEST(HelperExchange, DrainLeavesNothing) {
  HelperExchange exchange(3s);
  for (std::uint16_t number = 1; number <= 40; ++number) ASSERT_TRUE(exchange.add(job(number)));
  const auto id = exchange.next().value().id;
  EXPECT_EQ(exchange.drain().size(), 40U);
  EXPECT_EQ(exchange.settle(id), nullptr);
  EXPECT_FALSE(exchange.next());
  EXPECT_FALSE(exchange.due());
}

}  // namespace
}  // namespace stile::auth
