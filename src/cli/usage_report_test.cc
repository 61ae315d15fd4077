#include "cli/usage_report.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

namespace stile::cli {
namespace {

using observe::Usage;
using observe::UsageKey;

/// In a zone with a summer time, whatever the machine's is.
class UsageReport : public testing::Test {
 protected:
  void SetUp() override { zone("Europe/Berlin"); }
  void TearDown() override { zone("UTC"); }
  static void zone(const char* name) {
    ::setenv("TZ", name, 1);
    ::tzset();
  }
};

WallTime at(std::int64_t seconds) {
  return WallTime{std::chrono::seconds{seconds}};
}

constexpr std::int64_t noon = 1'793'444'400;  // 2026-10-31 12:00 in Berlin, six days after an hour was put back

TEST_F(UsageReport, Moments) {
  const std::pair<std::string_view, std::int64_t> moments[] = {
      {"today", noon - 12 * 3'600},
      {"yesterday", noon - 36 * 3'600},
      {"30m", noon - 1'800},
      {"12h", noon - 12 * 3'600},
      {"7d", noon - 7 * 86'400},
      {"2w", noon - 14 * 86'400},
      {"2026-10-31", noon - 12 * 3'600},
      {"2026-10-31 08:30", noon - 12'600},
      {"2026-10-31T08:30", noon - 12'600},
      {"2026-10-25", noon - 12 * 3'600 - 6 * 86'400 - 3'600},
  };
  for (const auto& [text, seconds] : moments) EXPECT_EQ(parse_moment(text, at(noon)), at(seconds)) << text;
  for (const std::string_view text : {"", "d", "7", "-7d", "7y", "1000000d", "tomorrow", "2026-13-01", "2026-02-30",
                                      "26-10-31", "2026-10-31 24:00", "2026-10-31 08:3", "2026/10/31"}) {
    EXPECT_FALSE(parse_moment(text, at(noon))) << text;
  }
}

TEST_F(UsageReport, ATableLinesUpAndAddsUp) {
  const std::vector<Usage> rows{
      {"alice", 1'234, 5, 1'500'000'000}, {"", 1, 999, 1'000}, {"x\n\x1b[2J\\", 0, 12'345, 999'499}};
  EXPECT_EQ(usage_table(UsageKey::user, rows),
            "user              sessions       up     down    total\n"
            "alice                 1234      5 B  1.50 GB  1.50 GB\n"
            "(anonymous)              1    999 B  1.00 kB  2.00 kB\n"
            "x\\x0a\\x1b[2J\\x5c         0  12.3 kB   999 kB  1.01 MB\n"
            "total                 1235  13.3 kB  1.50 GB  1.50 GB\n");
}

TEST_F(UsageReport, JsonIsExact) {
  const auto json = nlohmann::json::parse(usage_json(
      UsageKey::rule, {at(0), at(86'400)}, {{"web", 2, 3, 18'446'744'073'709'551'000ULL}, {"\xff", 1, 1, 1}}));
  EXPECT_EQ(json["by"], "rule");
  EXPECT_EQ(json["since"], "1970-01-01T00:00:00Z");
  EXPECT_EQ(json["until"], "1970-01-02T00:00:00Z");
  EXPECT_EQ(json["rows"][0],
            (nlohmann::json{
                {"rule", "web"}, {"sessions", 2}, {"bytes_up", 3}, {"bytes_down", 18'446'744'073'709'551'000ULL}}));
  EXPECT_EQ(json["rows"][1]["rule"], "\xef\xbf\xbd");
  EXPECT_EQ(json["total"]["sessions"], 3);
}

TEST_F(UsageReport, KeysHaveNames) {
  EXPECT_EQ(usage_key_named("user"), UsageKey::user);
  EXPECT_EQ(usage_key_named("target"), UsageKey::target);
  EXPECT_EQ(usage_key_named("rule"), UsageKey::rule);
  EXPECT_FALSE(usage_key_named("client"));
}

}  // namespace
}  // namespace stile::cli
