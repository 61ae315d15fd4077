#include "auth/login_cache.h"

#include <gtest/gtest.h>

namespace stile::auth {
namespace {

using namespace std::chrono_literals;

Digest digest(std::uint8_t number) {
  Digest made{};
  made[0] = number;
  return made;
}

TEST(LoginCache, HoldsForItsTimeAndNoLonger) {
  LoginCache cache;
  const Instant now{1h};
  cache.add(digest(1), now, 60s);
  EXPECT_TRUE(cache.holds(digest(1), now));
  EXPECT_FALSE(cache.holds(digest(2), now));
  EXPECT_TRUE(cache.holds(digest(1), now + 60s - 1ns));
  EXPECT_FALSE(cache.holds(digest(1), now + 60s));
}

TEST(LoginCache, ALookDoesNotExtendIt) {
  LoginCache cache;
  const Instant now{1h};
  cache.add(digest(1), now, 60s);
  for (int second = 0; second < 60; ++second) EXPECT_TRUE(cache.holds(digest(1), now + second * 1s));
  EXPECT_FALSE(cache.holds(digest(1), now + 60s));
}

TEST(LoginCache, NoLifetimeMeansNoEntry) {
  LoginCache cache;
  cache.add(digest(1), Instant{1h}, 0s);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(LoginCache, IsBoundedAndTheOldestMakesRoom) {
  LoginCache cache(3);
  const Instant now{1h};
  for (std::uint8_t i = 1; i <= 4; ++i) cache.add(digest(i), now + i * 1s, 60s);
  EXPECT_EQ(cache.size(), 3U);
  EXPECT_FALSE(cache.holds(digest(1), now + 5s));
  EXPECT_TRUE(cache.holds(digest(2), now + 5s));
  EXPECT_TRUE(cache.holds(digest(4), now + 5s));
}

TEST(LoginCache, OneThatIsAddedAgainOutlivesItsFirstTime) {
  LoginCache cache(2);
  const Instant now{1h};
  cache.add(digest(1), now, 60s);
  cache.add(digest(1), now + 30s, 60s);
  cache.add(digest(2), now + 61s, 60s);
  EXPECT_TRUE(cache.holds(digest(1), now + 80s));
  EXPECT_TRUE(cache.holds(digest(2), now + 80s));
}

TEST(LoginCache, WhatIsOverIsForgotten) {
  LoginCache cache;
  const Instant now{1h};
  for (std::uint8_t i = 0; i < 100; ++i) cache.add(digest(i), now, 60s);
  cache.add(digest(200), now + 61s, 60s);
  EXPECT_EQ(cache.size(), 1U);
  cache.clear();
  EXPECT_FALSE(cache.holds(digest(200), now + 61s));
}

TEST(LoginCache, KnowsWhoItWasWhereSomebodySaid) {
  LoginCache cache;
  const Instant now{1h};
  cache.add(digest(1), now, 60s, std::make_shared<const Identity>(Identity::anonymous()));
  cache.add(digest(2), now, 60s);
  EXPECT_NE(cache.who(digest(1), now + 59s), nullptr);
  EXPECT_EQ(cache.who(digest(1), now + 60s), nullptr);
  EXPECT_TRUE(cache.holds(digest(2), now));
  EXPECT_EQ(cache.who(digest(2), now), nullptr);
}

}  // namespace
}  // namespace stile::auth
