// RFC 1961, framing only, against tests/vectors/gssapi.txt (W).
#include "wire/gssapi_frame.h"

#include <gtest/gtest.h>

#include <deque>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/gssapi.txt";

/// Tokens point into their input; an example's must live somewhere until it was compared.
ConstBytes kept(Octets octets) {
  static std::deque<Octets> tokens;
  return tokens.emplace_back(std::move(octets));
}

Octets encoded(GssMessage message, ConstBytes token) {
  Octets octets = to_octets(encode_gss_header(message, token.size()));
  octets.insert(octets.end(), token.begin(), token.end());
  return octets;
}

struct FrameCodec {
  using Message = GssFrame;
  static ParseResult<GssFrame> decode(ConstBytes input) { return decode_gss_frame(input); }
  static ParseResult<GssFrame> oracle(const Octets& input) {
    if (input.empty()) return NeedMore{};
    if (input[0] != 1) return Malformed{Reason::gss_version, 1};
    if (input.size() < 2) return NeedMore{};
    if (input[1] == 0xFF) return Parsed<GssFrame>{{GssMessage::abort, {}}, 2};
    if (input[1] < 1 || input[1] > 3) return Malformed{Reason::gss_order, 2};
    if (input.size() < 4) return NeedMore{};
    const std::size_t octets = std::size_t{256} * input[2] + input[3];
    if (octets == 0 && input[1] > 1) return Malformed{Reason::gss_token, 4};
    if (input.size() < 4 + octets) return NeedMore{};
    return Parsed<GssFrame>{{static_cast<GssMessage>(input[1]), ConstBytes(input).subspan(4, octets)}, 4 + octets};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'W'); }
  static Example<GssFrame> example(Random& random) {
    if (random.one_in(8)) return {.value = {}, .encoded = to_octets(encode_gss_abort())};
    GssFrame frame;
    frame.message = random.pick(std::array{GssMessage::context, GssMessage::level, GssMessage::data});
    const std::size_t shortest = frame.message == GssMessage::context ? 0 : 1;
    frame.token = kept(random.octets(shortest + random.below(random.one_in(8) ? 700 : 12)));
    return {.value = frame, .encoded = encoded(frame.message, frame.token)};
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(GssFrame, CodecTest, FrameCodec);

/// `octets` must outlive the result.
GssFrame frame_of(const Octets& octets) {
  return parsed(decode_gss_frame(octets));
}

TEST(GssFrame, VectorsSayWhatTheyAre) {
  const Octets abort = vector_octets(vectors_path, "W1");
  EXPECT_EQ(frame_of(abort).message, GssMessage::abort);
  EXPECT_EQ(to_octets(encode_gss_abort()), abort);
  const Octets complete = vector_octets(vectors_path, "W2");
  EXPECT_EQ(frame_of(complete).message, GssMessage::context);
  EXPECT_TRUE(frame_of(complete).token.empty());
  EXPECT_EQ(encoded(GssMessage::context, {}), complete);
}

TEST(GssFrame, BareLevelIsToldByItsLength) {
  const Octets bare = vector_octets(vectors_path, "W3");
  EXPECT_TRUE(frame_of(bare).is_bare_level());
  EXPECT_EQ(to_octets(frame_of(bare).token), Octets{2});
  const Octets wrapped = octets_of("01 02 00 02 60 28");
  EXPECT_FALSE(frame_of(wrapped).is_bare_level());
  const Octets data = octets_of("01 03 00 01 02");
  EXPECT_FALSE(frame_of(data).is_bare_level());
}

// TG1: a token of the largest length is one frame, and nothing wraps around.
TEST(GssFrame, LongestToken) {
  const Octets token(65'535, 0x60);
  const Octets octets = encoded(GssMessage::data, token);
  EXPECT_EQ(describe(decode_gss_frame(octets)), "parsed 65539");
  EXPECT_EQ(describe(decode_gss_frame(ConstBytes(octets).first(octets.size() - 1))), "need more");
  EXPECT_TRUE(std::ranges::equal(frame_of(octets).token, token));
  EXPECT_EQ(frame_of(octets).token.data(), octets.data() + 4) << "tokens are not copied";
}

TEST(GssDatagram, IsExactlyOneDataFrame) {
  const Octets datagram = octets_of("01 03 00 02 AB CD");
  ASSERT_TRUE(decode_gss_datagram(datagram).has_value());
  EXPECT_EQ(to_octets(*decode_gss_datagram(datagram)), octets_of("AB CD"));
  for (const char* other : {"01 03 00 02 AB CD EF", "01 03 00 02 AB", "01 03 00 00", "01 02 00 02 AB CD",
                            "01 01 00 02 AB CD", "01 FF", "02 03 00 02 AB CD", "01"}) {
    const Octets octets = octets_of(other);
    EXPECT_FALSE(decode_gss_datagram(octets).has_value()) << other;
  }
}

}  // namespace
}  // namespace stile::wire::testing
