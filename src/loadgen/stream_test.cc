#include "loadgen/stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace stile::loadgen {
namespace {

constexpr std::uint64_t start = 12'345;

class StreamTest : public testing::Test {
 protected:
  /// A whole stream of so many chunks, sent in pieces of `piece` octets at most.
  std::vector<std::uint8_t> written(std::size_t chunks, std::size_t piece) {
    StreamWriter writer(pattern_, start, chunks > 0);
    std::vector<std::uint8_t> octets;
    while (!writer.done()) {
      if (!writer.finishing() && octets.size() + chunk_octets > chunk_octets * chunks) {
        writer.finish({.received = 7});
      }
      const ConstBytes next = writer.next();
      const ConstBytes taken = next.first(std::min(next.size(), piece));
      octets.insert(octets.end(), taken.begin(), taken.end());
      writer.advance(taken.size());
    }
    EXPECT_TRUE(writer.next().empty());
    EXPECT_EQ(writer.sent(), chunk_octets * chunks);
    return octets;
  }

  StreamChecker checked(ConstBytes octets, std::size_t piece, Verify verify = Verify::full) {
    StreamChecker checker(pattern_, start, verify);
    while (!octets.empty()) {
      const ConstBytes taken = octets.first(std::min(octets.size(), piece));
      checker.take(taken);
      octets = octets.subspan(taken.size());
    }
    return checker;
  }

  Pattern pattern_;
};

TEST_F(StreamTest, ArrivesWholeHoweverItIsSplit) {
  for (const std::size_t piece : {std::size_t{13}, std::size_t{32}, std::size_t{5'000}, std::size_t{1'000'000}}) {
    for (const std::size_t chunks : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
      const auto octets = written(chunks, piece);
      ASSERT_EQ(octets.size(), chunks * chunk_octets + trailer_octets);
      for (const Verify verify : {Verify::full, Verify::edges}) {
        const StreamChecker checker = checked(octets, piece + 1, verify);
        EXPECT_EQ(checker.wrong_at(), std::nullopt);
        EXPECT_EQ(checker.received(), chunks * chunk_octets);
        ASSERT_TRUE(checker.trailer());
        EXPECT_EQ(*checker.trailer(), (Trailer{.sent = chunks * chunk_octets, .received = 7}));
      }
    }
  }
}

TEST_F(StreamTest, AFlippedOctetIsFound) {
  auto octets = written(2, 100'000);
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{31}, std::size_t{32}, chunk_octets - 1, chunk_octets, 2 * chunk_octets - 1}) {
    octets[at] ^= 1;
    EXPECT_EQ(checked(octets, 10'000).wrong_at(), at);
    octets[at] ^= 1;
  }
}

TEST_F(StreamTest, ALostOctetIsFound) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{1'000}, chunk_octets, 2 * chunk_octets - 1}) {
    auto octets = written(2, 100'000);
    octets.erase(octets.begin() + static_cast<std::ptrdiff_t>(at));
    const StreamChecker checker = checked(octets, 10'000);
    EXPECT_TRUE(checker.wrong_at()) << at;
    EXPECT_FALSE(checker.trailer());
  }
}

TEST_F(StreamTest, AWholeLostChunkIsFoundAlsoWhereOnlyEdgesAreCompared) {
  for (const std::size_t chunk : {std::size_t{0}, std::size_t{1}}) {
    auto octets = written(2, 100'000);
    const auto first = octets.begin() + static_cast<std::ptrdiff_t>(chunk * chunk_octets);
    octets.erase(first, first + chunk_octets);
    EXPECT_TRUE(checked(octets, 10'000, Verify::edges).wrong_at()) << chunk;
  }
}

TEST_F(StreamTest, OctetsBehindTheEndAreWrong) {
  auto octets = written(1, 100'000);
  octets.push_back(0);
  EXPECT_EQ(checked(octets, 10'000).wrong_at(), chunk_octets);
}

TEST_F(StreamTest, AMissingEndShows) {
  auto octets = written(1, 100'000);
  octets.pop_back();
  const StreamChecker checker = checked(octets, 10'000);
  EXPECT_FALSE(checker.trailer());
  EXPECT_FALSE(checker.wrong_at());
}

TEST(OriginMessages, ComeBackAsTheyWere) {
  const Preamble preamble{.kind = Kind::bulk, .streams = stream_down, .verify = Verify::edges, .start = 0x0102030405};
  EXPECT_EQ(decode_preamble(encode(preamble)), preamble);
  const Trailer trailer{.sent = 1, .received = UINT64_MAX - 1, .wrong_at = 3};
  EXPECT_EQ(decode_trailer(encode(trailer)), trailer);
  const DatagramHead head{.slot = 0xFEDC, .serial = UINT64_MAX};
  EXPECT_EQ(decode_datagram_head(encode(head)), head);
}

TEST(OriginMessages, AreNothingElse) {
  auto preamble = encode(Preamble{});
  for (const std::size_t at : {std::size_t{0}, std::size_t{8}, std::size_t{9}, std::size_t{10}, std::size_t{15}}) {
    auto other = preamble;
    other[at] ^= 0x40;
    EXPECT_EQ(decode_preamble(other), std::nullopt) << at;
  }
  EXPECT_EQ(decode_trailer(std::array<std::uint8_t, trailer_octets>{}), std::nullopt);
  const auto head = encode(DatagramHead{});
  for (std::size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(decode_datagram_head(ConstBytes(head).first(size)), std::nullopt) << size;
  }
}

}  // namespace
}  // namespace stile::loadgen
