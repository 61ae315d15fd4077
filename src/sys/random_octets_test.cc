#include "sys/random_octets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace stile::sys {
namespace {

TEST(RandomOctets, AreOthersEachTime) {
  std::array<std::uint8_t, 16> one{};
  std::array<std::uint8_t, 16> other{};
  ASSERT_TRUE(fill_randomly(one).has_value());
  ASSERT_TRUE(fill_randomly(other).has_value());
  EXPECT_NE(one, other);
}

TEST(RandomOctets, FillAllThatIsAskedFor) {
  std::vector<std::uint8_t> many(100'000);
  ASSERT_TRUE(fill_randomly(many).has_value());
  EXPECT_TRUE(std::ranges::any_of(many.end() - 64, many.end(), [](std::uint8_t octet) { return octet != 0; }));
  EXPECT_TRUE(fill_randomly({}).has_value());
}

}  // namespace
}  // namespace stile::sys
