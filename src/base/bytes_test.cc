#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace stile {
namespace {

constexpr std::array<std::uint8_t, 5> five = {0x01, 0x02, 0x03, 0x04, 0x05};

TEST(ByteReader, ReadsBigEndianFrontToBack) {
  ByteReader reader(five);
  EXPECT_EQ(reader.u8(), 0x01);
  EXPECT_EQ(reader.u16(), 0x0203);
  EXPECT_EQ(reader.consumed(), 3U);
  EXPECT_EQ(reader.rest().size(), 2U);
  EXPECT_EQ(reader.rest()[0], 0x04);
  EXPECT_EQ(reader.take(2)[1], 0x05);
  EXPECT_FALSE(reader.short_of_input());
  EXPECT_TRUE(reader.rest().empty());
}

TEST(ByteReader, RunningOffTheEndIsSticky) {
  ByteReader reader(five);
  EXPECT_EQ(reader.take(4).size(), 4U);
  EXPECT_EQ(reader.u16(), 0) << "one octet is left";
  EXPECT_TRUE(reader.short_of_input());
  EXPECT_EQ(reader.u8(), 0) << "though one octet would be there";
  EXPECT_TRUE(reader.take(0).empty());
  EXPECT_EQ(reader.consumed(), 4U);
  EXPECT_TRUE(reader.short_of_input());
}

TEST(ByteReader, TakingNothingAtTheEndIsNoFault) {
  ByteReader reader(ConstBytes{});
  EXPECT_TRUE(reader.take(0).empty());
  EXPECT_FALSE(reader.short_of_input());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_TRUE(reader.short_of_input());
}

TEST(ByteReader, HugeCountDoesNotWrap) {
  ByteReader reader(five);
  EXPECT_EQ(reader.u8(), 0x01);
  EXPECT_TRUE(reader.take(SIZE_MAX).empty());
  EXPECT_TRUE(reader.short_of_input());
  EXPECT_EQ(reader.consumed(), 1U);
}

TEST(ByteWriter, WritesBigEndianFrontToBack) {
  std::array<std::uint8_t, 6> room{};
  ByteWriter writer(room);
  writer.u8(0xAB);
  writer.u16(0x0102);
  writer.append(ConstBytes(five).first(3));
  EXPECT_FALSE(writer.overflowed());
  EXPECT_EQ(writer.written().size(), 6U);
  EXPECT_EQ(room, (std::array<std::uint8_t, 6>{0xAB, 0x01, 0x02, 0x01, 0x02, 0x03}));
}

TEST(ByteWriter, OverflowIsStickyAndWritesNothing) {
  std::array<std::uint8_t, 3> room{};
  ByteWriter writer(room);
  writer.u16(0x0102);
  writer.u16(0x0304);
  EXPECT_TRUE(writer.overflowed());
  writer.u8(0x05);
  EXPECT_EQ(writer.written().size(), 2U) << "though one octet would fit";
  EXPECT_EQ(room, (std::array<std::uint8_t, 3>{0x01, 0x02, 0x00}));
}

TEST(Bytes, UsableInConstantExpressions) {
  static_assert([] {
    std::array<std::uint8_t, 2> room{};
    ByteWriter writer(room);
    writer.u16(0xBEEF);
    ByteReader reader(room);
    return reader.u16() == 0xBEEF && !reader.short_of_input();
  }());
}

TEST(BytesDeathTest, FailedAssertionAborts) {
  EXPECT_DEATH(STILE_ASSERT(five.size() == 4), "five.size\\(\\) == 4");
}

}  // namespace
}  // namespace stile
