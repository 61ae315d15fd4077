#include "policy/name_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

namespace stile::policy {
namespace {

using Found = std::vector<std::pair<std::uint32_t, bool>>;

Found suffixes(const NameTable& table, std::string_view name) {
  Found found;
  table.visit_suffixes(name, [&](std::uint32_t value, bool whole) { found.emplace_back(value, whole); });
  return found;
}

TEST(NameTable, FindsANameAndTheNamesAboveIt) {
  NameTable table;
  table.add("example", 1);
  table.add("b.example", 2);
  table.add("a.b.example", 3);
  table.add("other", 4);
  table.seal();
  EXPECT_EQ(suffixes(table, "a.b.example"), (Found{{1, false}, {2, false}, {3, true}}));
  EXPECT_EQ(suffixes(table, "x.b.example"), (Found{{1, false}, {2, false}}));
  EXPECT_EQ(suffixes(table, "z.y.x.b.example"), (Found{{1, false}, {2, false}}));
  EXPECT_EQ(suffixes(table, "ab.example"), (Found{{1, false}}));
  EXPECT_EQ(suffixes(table, "anexample"), Found{});
  EXPECT_EQ(suffixes(table, "other"), (Found{{4, true}}));
}

TEST(NameTable, IsEmptyWithoutNames) {
  NameTable table;
  table.seal();
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(suffixes(table, "a.example"), Found{});
  EXPECT_EQ(table.octets(), std::string().capacity());
}

TEST(NameTable, JoinsTheValuesOfANameAddedTwice) {
  NameTable table;
  table.add("a.example", 1);
  table.add("a.example", 2);
  table.seal();
  EXPECT_EQ(suffixes(table, "a.example"), (Found{{3, true}}));
}

TEST(NameTable, TakesTheLongestNamesAndTheMostLabels) {
  std::string labels = "a";
  while (labels.size() + 2 <= limits::name_octets_max) labels += ".a";
  const std::string octets(limits::name_octets_max, 'b');
  NameTable table;
  table.add(labels, 1);
  table.add(octets, 2);
  table.seal();
  EXPECT_EQ(suffixes(table, labels), (Found{{1, true}}));
  EXPECT_EQ(suffixes(table, octets), (Found{{2, true}}));
  EXPECT_EQ(suffixes(table, labels.substr(2)), Found{});
}

// Against a map, with few letters and labels so that names meet, prefix each other and repeat.
TEST(NameTable, EqualsAMap) {
  std::mt19937 random(1928);
  const auto name = [&] {
    std::string text;
    for (auto labels = 1 + random() % 4; labels > 0; --labels) {
      if (!text.empty()) text += '.';
      for (auto letters = 1 + random() % 3; letters > 0; --letters) text += static_cast<char>('a' + random() % 3);
    }
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    NameTable table;
    std::map<std::string, std::uint32_t, std::less<>> map;
    for (auto count = random() % 100; count > 0; --count) {
      const std::string text = name();
      const std::uint32_t value = 1U << random() % 32;
      table.add(text, value);
      map[text] |= value;
    }
    table.seal();
    for (int i = 0; i < 200; ++i) {
      const std::string asked = name();
      Found expected;
      for (std::size_t begin = asked.size(); begin-- > 0;) {
        if (begin != 0 && asked[begin - 1] != '.') continue;
        const auto found = map.find(asked.substr(begin));
        if (found != map.end()) expected.emplace_back(found->second, begin == 0);
      }
      ASSERT_EQ(suffixes(table, asked), expected) << asked;
    }
  }
}

TEST(NameTable, KeepsQuestionsShortAmongManyNames) {
  constexpr std::size_t count = 300'000;
  NameTable table;
  for (std::size_t i = 0; i < count; ++i) table.add("host-" + std::to_string(i) + ".example", 1);
  table.seal();
  EXPECT_LE(table.probes_longest(), 128U);
  EXPECT_LE(table.octets(), count * 48);
  for (std::size_t i = 0; i < count; i += 997) {
    EXPECT_EQ(suffixes(table, "host-" + std::to_string(i) + ".example").size(), 1U);
  }
}

}  // namespace
}  // namespace stile::policy
