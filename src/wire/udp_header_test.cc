// RFC 1928 section 7, the header, against tests/vectors/udp.txt (U).
#include "wire/udp_header.h"

#include <gtest/gtest.h>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/udp.txt";

struct HeaderCodec {
  using Message = UdpHeader;
  static ParseResult<UdpHeader> decode(ConstBytes input) { return decode_udp_header(input); }
  static ParseResult<UdpHeader> oracle(const Octets& input) {
    if (input.size() < 4) return NeedMore{};
    UdpHeader header;
    header.reserved = static_cast<std::uint16_t>(input[0] * 256 + input[1]);
    header.fragment.value = input[2];
    header.address.type = static_cast<AddressType>(input[3]);
    std::size_t length = 0;
    if (input[3] == 1) {
      length = 10;
      if (input.size() < length) return NeedMore{};
      header.address.host = Address::v4(input[4], input[5], input[6], input[7]);
    } else if (input[3] == 4) {
      length = 22;
      if (input.size() < length) return NeedMore{};
      header.address.host = Address::v6(ConstBytes(input).subspan<4, 16>());
    } else if (input[3] == 3) {
      if (input.size() < 5) return NeedMore{};
      length = std::size_t{7} + input[4];
      if (input.size() < length) return NeedMore{};
      for (std::size_t i = 5; i < length - 2; ++i) header.address.received_name += static_cast<char>(input[i]);
      header.address.host = canonical_host(header.address.received_name);
    } else {
      return Malformed{Reason::address_type_unknown, 4};
    }
    header.address.port = static_cast<std::uint16_t>(input[length - 2] * 256 + input[length - 1]);
    return Parsed<UdpHeader>{header, length};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'U'); }
  static Example<UdpHeader> example(Random& random) {
    const Target target = random_target(random);
    const UdpHeader header{.reserved = 0, .fragment = {.value = random.octet()}, .address = field_of(target)};
    return {.value = header, .encoded = to_octets(encode_udp_header(target, header.fragment).octets())};
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(UdpHeader, CodecTest, HeaderCodec);

TEST(UdpHeader, VectorsSayWhereTo) {
  const std::vector<std::tuple<const char*, const char*, std::uint8_t>> expected = {
      {"U1", "192.0.2.53:53", 0x00}, {"U2", "example.com:53", 0x00}, {"U3", "192.0.2.53:53", 0x00},
      {"U4", "192.0.2.53:53", 0x01}, {"U5", "192.0.2.53:53", 0x82},  {"U6", "192.0.2.53:53", 0x81},
      {"U7", "192.0.2.53:53", 0x80}, {"U11", "192.0.2.53:0", 0x00},  {"U12", "192.0.2.53:53", 0x00}};
  for (const auto& [id, target, fragment] : expected) {
    const UdpHeader header = parsed(decode_udp_header(vector_octets(vectors_path, id)));
    EXPECT_EQ(target_text(header.address), target) << id;
    EXPECT_EQ(header.fragment.value, fragment) << id;
    EXPECT_EQ(header.reserved, 0) << id;
  }
}

TEST(UdpHeader, ReservedOctetsAreHandedOn) {
  EXPECT_EQ(parsed(decode_udp_header(octets_of("12 34 00 01 C0 00 02 35 00 35"))).reserved, 0x1234);
}

TEST(UdpHeader, MappedAddressIsTheIpv4Address) {
  const Octets octets = octets_of("00 00 00 04 00*10 FF FF C0 00 02 35 00 35");
  EXPECT_EQ(target_text(parsed(decode_udp_header(octets)).address), "192.0.2.53:53");
}

TEST(UdpHeader, AnswersEncodeOctetForOctet) {
  const Octets answer = vector_octets(vectors_path, "U12");
  const auto header = encode_udp_header({.host = Address::v4(192, 0, 2, 53), .port = 53});
  EXPECT_EQ(to_octets(header.octets()), to_octets(ConstBytes(answer).first(10)));
  const auto longest = encode_udp_header({.host = *Address::parse("2001:db8::1"), .port = 53});
  EXPECT_EQ(longest.octets().size(), udp_answer_header_octets_max);
}

TEST(FragmentOctet, PositionAndEndBit) {
  for (int value = 0; value < 256; ++value) {
    const FragmentOctet fragment{.value = static_cast<std::uint8_t>(value)};
    EXPECT_EQ(fragment.position(), value % 128);
    EXPECT_EQ(fragment.is_last(), value >= 128);
    EXPECT_EQ(fragment.stands_alone(), value == 0);
  }
}

}  // namespace
}  // namespace stile::wire::testing
