// What is a whole number, and what only looks like one.
#include "base/number.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace stile {
namespace {

TEST(Number, AllOfTheTextIsDigits) {
  EXPECT_EQ(whole_number<unsigned>("0"), 0U);
  EXPECT_EQ(whole_number<unsigned>("007"), 7U);
  EXPECT_EQ(whole_number<std::uint64_t>("18446744073709551615"), UINT64_MAX);
  for (const std::string_view text : {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "1a", "a", "1\n", "\xD9\xA1"}) {
    EXPECT_EQ(whole_number<unsigned>(text), std::nullopt) << text;
    EXPECT_EQ(plain_number<unsigned>(text), std::nullopt) << text;
  }
  EXPECT_EQ(whole_number<unsigned>(std::string_view("1\0", 2)), std::nullopt);
}

TEST(Number, ItsTypeAndItsMostAreBounds) {
  EXPECT_EQ(whole_number<std::uint16_t>("65535"), 65535);
  EXPECT_EQ(whole_number<std::uint16_t>("65536"), std::nullopt);
  EXPECT_EQ(whole_number<std::uint16_t>(std::string(100, '9')), std::nullopt);
  EXPECT_EQ(whole_number<unsigned>("32", 32), 32U);
  EXPECT_EQ(whole_number<unsigned>("33", 32), std::nullopt);
}

TEST(Number, APlainOneHasOneSpelling) {
  EXPECT_EQ(plain_number<unsigned>("0"), 0U);
  EXPECT_EQ(plain_number<unsigned>("10"), 10U);
  EXPECT_EQ(plain_number<unsigned>("01"), std::nullopt);
  EXPECT_EQ(plain_number<unsigned>("00"), std::nullopt);
}

}  // namespace
}  // namespace stile
