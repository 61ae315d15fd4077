#include "base/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace stile {
namespace {

std::string encoded(std::uint32_t value) {
  const auto octet = [](std::uint32_t bits) { return static_cast<char>(bits); };
  const auto rest = [&](int shift) { return octet(0x80 | ((value >> shift) & 0x3F)); };
  if (value < 0x80) return {octet(value)};
  if (value < 0x800) return {octet(0xC0 | (value >> 6)), rest(0)};
  if (value < 0x10000) return {octet(0xE0 | (value >> 12)), rest(6), rest(0)};
  return {octet(0xF0 | (value >> 18)), rest(12), rest(6), rest(0)};
}

TEST(Utf8, EveryCodePointButTheSurrogates) {
  for (std::uint32_t value = 0; value <= 0x10FFFF; ++value) {
    const bool surrogate = value >= 0xD800 && value < 0xE000;
    ASSERT_EQ(is_utf8("a" + encoded(value) + "z"), !surrogate) << value;
  }
  EXPECT_FALSE(is_utf8(encoded(0x110000)));
  EXPECT_TRUE(is_utf8(""));
}

TEST(Utf8, WhatIsCutOffOrOverlongIsNone) {
  for (const std::uint32_t value : {0x80U, 0x7FFU, 0x800U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    const std::string whole = encoded(value);
    for (std::size_t size = 1; size < whole.size(); ++size) {
      EXPECT_FALSE(is_utf8(whole.substr(0, size)));
      EXPECT_FALSE(is_utf8(whole.substr(0, size) + "zzz"));
      EXPECT_FALSE(is_utf8(whole.substr(size)));
    }
  }
  for (const char* const overlong : {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80",
                                     "\xF0\x8F\xBF\xBF", "\xFF", "\xF8\x88\x80\x80\x80", "\x80"}) {
    EXPECT_FALSE(is_utf8(overlong));
  }
}

}  // namespace
}  // namespace stile
