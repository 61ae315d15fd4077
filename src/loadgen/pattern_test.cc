#include "loadgen/pattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace stile::loadgen {
namespace {

class PatternTest : public testing::Test {
 protected:
  [[nodiscard]] std::vector<std::uint8_t> octets(std::uint64_t position, std::size_t count) const {
    const ConstBytes part = pattern_.at(position, count);
    return {part.begin(), part.end()};
  }
  Pattern pattern_;
};

TEST_F(PatternTest, GoesOnWhereItsPiecesMeet) {
  const auto whole = octets(1000, 5000);
  const auto second = octets(1300, 4700);
  EXPECT_TRUE(std::ranges::equal(std::span(whole).subspan(300), second));
}

TEST_F(PatternTest, AcceptsItself) {
  for (const std::uint64_t position : {std::uint64_t{0}, std::uint64_t{65'520}, std::uint64_t{1} << 50}) {
    const auto piece = octets(position, Pattern::piece_octets_max);
    EXPECT_EQ(pattern_.first_wrong(position, piece, Verify::full), std::nullopt);
    EXPECT_EQ(pattern_.first_wrong(position, piece, Verify::edges), std::nullopt);
  }
}

TEST_F(PatternTest, FindsEachFlippedOctet) {
  auto piece = octets(77, 3000);
  for (std::size_t i = 0; i < piece.size(); ++i) {
    piece[i] ^= 0x10;
    ASSERT_EQ(pattern_.first_wrong(77, piece, Verify::full), 77 + i);
    piece[i] ^= 0x10;
  }
}

TEST_F(PatternTest, FindsALostAndADoubledOctet) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}, std::size_t{1500}, std::size_t{2900}}) {
    auto lost = octets(5, 3000);
    lost.erase(lost.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_NE(pattern_.first_wrong(5, lost, Verify::full), std::nullopt) << at;
    EXPECT_NE(pattern_.first_wrong(5, lost, Verify::edges), std::nullopt) << at;
    auto doubled = octets(5, 3000);
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(at), doubled[at]);
    EXPECT_NE(pattern_.first_wrong(5, doubled, Verify::full), std::nullopt) << at;
  }
}

TEST_F(PatternTest, EdgesSeeTheFirstAndTheLastOctets) {
  auto piece = octets(0, 3000);
  piece[1500] ^= 1;
  EXPECT_EQ(pattern_.first_wrong(0, piece, Verify::edges), std::nullopt);
  piece[2999] ^= 1;
  EXPECT_EQ(pattern_.first_wrong(0, piece, Verify::edges), 2999U);
  piece[7] ^= 1;
  EXPECT_EQ(pattern_.first_wrong(0, piece, Verify::edges), 7U);
}

TEST_F(PatternTest, ChecksPiecesLongerThanItsTable) {
  std::vector<std::uint8_t> longer;
  while (longer.size() < 3 * Pattern::piece_octets_max) {
    const auto part = octets(9 + longer.size(), 100'000);
    longer.insert(longer.end(), part.begin(), part.end());
  }
  EXPECT_EQ(pattern_.first_wrong(9, longer, Verify::full), std::nullopt);
  longer[700'000] ^= 0x80;
  EXPECT_EQ(pattern_.first_wrong(9, longer, Verify::full), 700'009U);
}

TEST_F(PatternTest, TellsStreamsApart) {
  EXPECT_NE(pattern_.first_wrong(Pattern::start_of(1), octets(Pattern::start_of(2), 64), Verify::full), std::nullopt);
}

}  // namespace
}  // namespace stile::loadgen
