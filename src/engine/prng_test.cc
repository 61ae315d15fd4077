#include "engine/prng.h"

#include <gtest/gtest.h>

namespace stile::engine {
namespace {

// The first outputs of the authors' C code (prng.di.unimi.it/xoshiro256starstar.c) from the state 1, 2, 3, 4.
TEST(Prng, EqualsTheReference) {
  Prng prng{std::array<std::uint64_t, 4>{1, 2, 3, 4}};
  for (const std::uint64_t expected : {11520u, 0u, 1509978240u}) EXPECT_EQ(prng.next(), expected);
  EXPECT_EQ(prng.next(), 1215971899390074240u);
}

TEST(Prng, EqualSeedsGiveEqualNumbersOthersDiffer) {
  Prng first{1};
  Prng same{1};
  Prng other{2};
  const std::uint64_t number = first.next();
  EXPECT_EQ(number, same.next());
  EXPECT_NE(number, other.next());
}

TEST(Prng, ChanceKeepsItsProbability) {
  Prng prng{3};
  EXPECT_FALSE(prng.chance(0));
  EXPECT_TRUE(prng.chance(1));
  int hits = 0;
  for (int i = 0; i < 10'000; ++i) hits += prng.chance(0.25) ? 1 : 0;
  EXPECT_NEAR(hits, 2'500, 200);
}

}  // namespace
}  // namespace stile::engine
