#include "wire/ip_packet.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

Octets packet(const char* from, const char* to, const Octets& payload) {
  return encode_udp_packet(Endpoint::parse(from).value(), Endpoint::parse(to).value(), payload);
}

/// RFC 1071, as it is written there: 16-bit words, the carry brought round. A right checksum makes it all ones.
std::uint16_t sum_of(const Octets& octets) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); i += 2) {
    sum += octets[i] * 256U + (i + 1 < octets.size() ? octets[i + 1] : 0U);
    if (sum > 0xFFFF) sum = sum - 0x10000 + 1;
  }
  return static_cast<std::uint16_t>(sum);
}

void expect_right_sums(const Octets& whole, std::size_t header) {
  const std::size_t addresses = header == 20 ? 8 : 32;
  Octets pseudo(whole.begin() + static_cast<std::ptrdiff_t>(header - addresses), whole.end());
  const std::size_t length = whole.size() - header;
  pseudo.insert(pseudo.begin(), {0, 17, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)});
  EXPECT_EQ(sum_of(pseudo), 0xFFFF);
  if (header == 20) {
    EXPECT_EQ(sum_of({whole.begin(), whole.begin() + 20}), 0xFFFF);
  }
}

TEST(IpPacket, Ipv4OctetForOctet) {
  const Octets whole = packet("192.0.2.1:53", "198.18.0.1:40000", {'a', 'b', 'c'});
  EXPECT_EQ(whole,
            octets_of("45 00 00 1F 00 00 40 00 40 11 B2 B9 C0 00 02 01 C6 12 00 01 00 35 9C 40 00 0B 16 EB 61 62 63"));
  expect_right_sums(whole, 20);
}

TEST(IpPacket, Ipv6OctetForOctet) {
  const Octets whole = packet("[2001:db8::1]:53", "[fd73::1]:40000", {});
  EXPECT_EQ(Octets(whole.begin(), whole.begin() + 46),
            octets_of("60 00 00 00 00 08 11 40 20 01 0D B8 00*11 01 FD 73 00*13 01 00 35 9C 40 00 08"));
  expect_right_sums(whole, 40);
}

TEST(IpPacket, SumsAreRightWhateverIsCarried) {
  Random random(1);
  for (int i = 0; i < 2'000; ++i) {
    const Octets payload = random.octets(random.below(200));
    expect_right_sums(packet("203.0.113.9:123", "198.18.0.1:123", payload), 20);
    expect_right_sums(packet("[2001:db8::9]:123", "[fd73::1]:123", payload), 40);
  }
  expect_right_sums(packet("203.0.113.9:123", "198.18.0.1:123", Octets(udp_packet_payload_octets_max, 0xFF)), 20);
}

TEST(IpPacket, FragmentsOctetForOctet) {
  Octets payload(50);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(i);
  const auto four = fragments_of(packet("192.0.2.1:53", "198.18.0.1:40000", payload), 68, 0x12345);
  ASSERT_EQ(four.size(), 2U);
  EXPECT_EQ(Octets(four[0].begin(), four[0].begin() + 20),
            octets_of("45 00 00 44 23 45 20 00 40 11 AF 4F C0 00 02 01 C6 12 00 01"));
  EXPECT_EQ(Octets(four[1].begin(), four[1].begin() + 20),
            octets_of("45 00 00 1E 23 45 00 06 40 11 CF 6F C0 00 02 01 C6 12 00 01"));
  EXPECT_EQ(Octets(four[1].begin() + 20, four[1].end()), octets_of("28 29 2A 2B 2C 2D 2E 2F 30 31"));
  const auto six = fragments_of(packet("[2001:db8::1]:53", "[fd73::1]:40000", payload), 88, 0x12345678);
  ASSERT_EQ(six.size(), 2U);
  EXPECT_EQ(Octets(six[0].begin(), six[0].begin() + 48),
            octets_of("60 00 00 00 00 30 2C 40 20 01 0D B8 00*11 01 FD 73 00*13 01 11 00 00 01 12 34 56 78"));
  EXPECT_EQ(Octets(six[1].begin(), six[1].begin() + 48),
            octets_of("60 00 00 00 00 1A 2C 40 20 01 0D B8 00*11 01 FD 73 00*13 01 11 00 00 28 12 34 56 78"));
}

TEST(IpPacket, FragmentsAreTheWholeInPieces) {
  Random random(2);
  for (int i = 0; i < 500; ++i) {
    const bool v4 = i % 2 == 0;
    const std::size_t header = v4 ? 20 : 48;
    const std::size_t most = 68 + random.below(1'500);
    const Octets payload = random.octets(random.below(6'000));
    const Octets whole = v4 ? packet("203.0.113.9:123", "198.18.0.1:123", payload)
                            : packet("[2001:db8::9]:123", "[fd73::1]:123", payload);
    Octets together;
    const auto fragments = fragments_of(whole, most, 7);
    for (const Octets& one : fragments) {
      ASSERT_LE(one.size(), most);
      const std::size_t place = v4 ? 6 : 42;
      const unsigned field = one[place] * 256U + one[place + 1];
      EXPECT_EQ(v4 ? (field & 0x1FFF) * 8 : field & ~7U, together.size());
      EXPECT_EQ(v4 ? (field & 0x2000) != 0 : (field & 1) != 0, &one != &fragments.back());
      const std::size_t length = v4 ? one[2] * 256U + one[3] : one[4] * 256U + one[5] + 40U;
      EXPECT_EQ(length, one.size());
      if (v4) {
        EXPECT_EQ(sum_of({one.begin(), one.begin() + 20}), 0xFFFF);
      }
      together.insert(together.end(), one.begin() + static_cast<std::ptrdiff_t>(header), one.end());
    }
    EXPECT_EQ(together, Octets(whole.begin() + (v4 ? 20 : 40), whole.end()));
  }
}

TEST(IpPacket, EchoRepliesOctetForOctet) {
  const Octets payload = octets_of("AA BB CC");
  const Octets four = encode_echo_reply(Address::v4(192, 0, 2, 1), Address::v4(198, 18, 0, 1),
                                        {.identifier = 0x1234, .sequence = 7, .payload = payload});
  EXPECT_EQ(Octets(four.begin() + 20, four.end()), octets_of("00 00 77 08 12 34 00 07 AA BB CC"));
  EXPECT_EQ(sum_of({four.begin(), four.begin() + 20}), 0xFFFF);
  EXPECT_EQ(four[9], 1);
  EXPECT_EQ(sum_of({four.begin() + 20, four.end()}), 0xFFFF);
  const Octets six = encode_echo_reply(*Address::parse("2001:db8::1"), *Address::parse("fd73::1"),
                                       {.identifier = 1, .sequence = 2, .payload = payload});
  EXPECT_EQ(six[6], 58);
  EXPECT_EQ(six[40], 129);
  Octets pseudo(six.begin() + 8, six.end());
  pseudo.insert(pseudo.begin(), {0, 58, 0, 11});
  EXPECT_EQ(sum_of(pseudo), 0xFFFF);
}

TEST(IpPacket, EchoRequestsAreWhatIsRead) {
  const Octets payload = octets_of("AA BB CC");
  const Octets four = encode_echo_request(Address::v4(192, 0, 2, 1), Address::v4(198, 18, 0, 1),
                                          {.identifier = 0x1234, .sequence = 7, .payload = payload});
  EXPECT_EQ(Octets(four.begin() + 20, four.end()), octets_of("08 00 6F 08 12 34 00 07 AA BB CC"));
  const Octets six = encode_echo_request(*Address::parse("2001:db8::1"), *Address::parse("fd73::1"),
                                         {.identifier = 1, .sequence = 2, .payload = payload});
  EXPECT_EQ(decode_echo_request(Family::ipv6, ConstBytes(six).subspan(40))->sequence, 2);
}

TEST(IpPacket, ErrorsOctetForOctet) {
  const Octets about = octets_of("45 00 00 1F 00 00 40 00");
  const auto four = [&](Undelivered why) {
    const Octets whole = encode_icmp_error(Address::v4(192, 0, 2, 1), Address::v4(198, 18, 0, 1), why, about);
    EXPECT_EQ(sum_of({whole.begin(), whole.begin() + 20}), 0xFFFF);
    EXPECT_EQ(sum_of({whole.begin() + 20, whole.end()}), 0xFFFF);
    EXPECT_EQ(Octets(whole.begin() + 24, whole.end()), octets_of("00 00 00 00 45 00 00 1F 00 00 40 00"));
    return Octets(whole.begin() + 20, whole.begin() + 22);
  };
  const auto six = [&](Undelivered why) {
    const Octets whole = encode_icmp_error(*Address::parse("2001:db8::1"), *Address::parse("fd73::1"), why, about);
    Octets pseudo(whole.begin() + 8, whole.end());
    pseudo.insert(pseudo.begin(), {0, 58, 0, 16});
    EXPECT_EQ(sum_of(pseudo), 0xFFFF);
    return Octets(whole.begin() + 40, whole.begin() + 42);
  };
  const std::vector<std::tuple<Undelivered, std::string, std::string>> all{
      {Undelivered::hops_exceeded, "0B 00", "03 00"}, {Undelivered::network, "03 00", "01 00"},
      {Undelivered::host, "03 01", "01 03"},          {Undelivered::protocol, "03 02", "04 01"},
      {Undelivered::port, "03 03", "01 04"},          {Undelivered::prohibited, "03 0D", "01 01"}};
  for (const auto& [why, v4, v6] : all) {
    EXPECT_EQ(four(why), octets_of(v4));
    EXPECT_EQ(six(why), octets_of(v6));
  }
}

TEST(IpPacket, ErrorsQuoteABeginning) {
  const Octets whole =
      encode_icmp_error(Address::v4(192, 0, 2, 1), Address::v4(198, 18, 0, 1), Undelivered::port, Octets(9000, 1));
  EXPECT_EQ(whole.size(), 28 + quoted_octets_max);
}

TEST(IpPacket, EchoRequestsAreRead) {
  for (const auto& [family, type] : {std::pair(Family::ipv4, "08"), std::pair(Family::ipv6, "80")}) {
    const Octets whole = octets_of(std::string(type) + " 00 FF FF 12 34 00 07 AA BB");
    const auto echo = decode_echo_request(family, whole);
    ASSERT_TRUE(echo);
    EXPECT_EQ(echo->identifier, 0x1234);
    EXPECT_EQ(echo->sequence, 7);
    EXPECT_EQ(to_octets(echo->payload), octets_of("AA BB"));
    EXPECT_TRUE(decode_echo_request(family, ConstBytes(whole).first(8)));
    for (std::size_t size = 0; size < 8; ++size) {
      const GuardedOctets cut(ConstBytes(whole).first(size));
      EXPECT_FALSE(decode_echo_request(family, cut.octets())) << size;
    }
    EXPECT_FALSE(decode_echo_request(family == Family::ipv4 ? Family::ipv6 : Family::ipv4, whole));
    EXPECT_FALSE(decode_echo_request(family, octets_of(std::string(type) + " 01 FF FF 12 34 00 07")));
  }
}

TEST(IpPacket, ASumOfZeroIsNotNone) {  // RFC 768
  for (unsigned word = 0; word < 0x10000; ++word) {
    const Octets whole =
        packet("0.0.0.1:1", "0.0.0.1:1", {static_cast<std::uint8_t>(word >> 8), static_cast<std::uint8_t>(word)});
    ASSERT_NE(whole[26] + whole[27], 0) << word;
  }
}

}  // namespace
}  // namespace stile::wire::testing
