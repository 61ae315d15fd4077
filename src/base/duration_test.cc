#include "base/duration.h"

#include <gtest/gtest.h>

namespace stile {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsEveryUnit) {
  EXPECT_EQ(parse_duration("20us"), 20us);
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("10s"), 10s);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("1h"), 1h);
  EXPECT_EQ(parse_duration("7d"), 168h);
  EXPECT_EQ(parse_duration("0s"), 0s);
}

TEST(Duration, RefusesEveryOtherSpelling) {
  for (const std::string_view text : {"", "s", "10", "-1s", "+1s", " 1s", "1s ", "1 s", "1.5s", "1m30s", "1S", "1ns",
                                      "1 us", "1e3s", "0x1s", "off", "1ss", "99999999999999999999s"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(Duration, ALongestBoundKeepsSumsFromOverflowing) {
  EXPECT_EQ(parse_duration("365d"), 8760h);
  EXPECT_EQ(parse_duration("366d"), std::nullopt);
  EXPECT_EQ(parse_duration("9223372036854775807ms"), std::nullopt);
  EXPECT_EQ(parse_duration("9223372036854775807d"), std::nullopt);
}

TEST(Duration, PrintsWhatItReads) {
  for (const std::string_view text :
       {"0s", "1us", "1500us", "1ms", "250ms", "1500ms", "10s", "90s", "5m", "1h", "1d", "365d"}) {
    EXPECT_EQ(to_text(parse_duration(text).value()), text);
  }
  EXPECT_EQ(to_text(60s), "1m");
  EXPECT_EQ(to_text(1000ms), "1s");
}

TEST(Duration, PeopleGetTwoFiguresAtMost) {
  const std::pair<Duration, std::string_view> texts[] = {
      {0s, "0s"},          {999ms, "0s"},        {59'999ms, "59s"},   {60s, "1m"},       {200s, "3m 20s"},
      {3'599s, "59m 59s"}, {3'600s, "1h"},       {3'659s, "1h"},      {7'500s, "2h 5m"}, {24h, "1d"},
      {24h + 59min, "1d"}, {76h + 59s, "3d 4h"}, {9'999h, "416d 15h"}};
  for (const auto& [duration, text] : texts) EXPECT_EQ(rough_text(duration), text);
}

}  // namespace
}  // namespace stile
