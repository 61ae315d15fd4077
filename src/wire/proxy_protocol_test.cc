// The PROXY protocol, versions 1 and 2, against tests/vectors/proxy.txt (Y).
#include "wire/proxy_protocol.h"

#include <gtest/gtest.h>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/proxy.txt";
const Octets signature = octets_of("0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A");

Octets octets_of_text(std::string_view text) {
  return Octets(text.begin(), text.end());
}

void append(Octets& octets, const Octets& more) {
  octets.insert(octets.end(), more.begin(), more.end());
}

Octets tlv(std::uint8_t type, const Octets& value) {
  Octets octets = {type, static_cast<std::uint8_t>(value.size() / 256), static_cast<std::uint8_t>(value.size() % 256)};
  append(octets, value);
  return octets;
}

Octets version_2(std::uint8_t command, std::uint8_t family, const Octets& body) {
  Octets octets = signature;
  append(octets,
         {command, family, static_cast<std::uint8_t>(body.size() / 256), static_cast<std::uint8_t>(body.size() % 256)});
  append(octets, body);
  return octets;
}

/// CRC-32C by long division of the whole bit string, the polynomial 1EDC6F41 not reflected.
std::uint32_t naive_crc32c(const Octets& octets) {
  std::uint32_t remainder = 0xFFFFFFFF;
  for (const std::uint8_t octet : octets) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool input = ((octet >> bit) & 1) != 0;
      const bool top = (remainder & 0x80000000U) != 0;
      remainder <<= 1;
      if (top != input) remainder ^= 0x1EDC6F41U;
    }
  }
  std::uint32_t reflected = 0;
  for (int bit = 0; bit < 32; ++bit) reflected |= ((remainder >> bit) & 1U) << (31 - bit);
  return ~reflected;
}

Octets with_checksum(Octets body, std::uint8_t family) {
  append(body, tlv(0x03, {0, 0, 0, 0}));
  Octets whole = version_2(0x21, family, body);
  const std::uint32_t crc = naive_crc32c(whole);
  for (std::size_t i = 0; i < 4; ++i) whole[whole.size() - 4 + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
  return whole;
}

// --- The oracle --------------------------------------------------------------------------------------------------

std::optional<std::uint16_t> naive_port(const std::string& text) {
  if (text.empty() || text.size() > 5 || text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const int value = std::stoi(text);
  if (std::to_string(value) != text || value > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

ParseResult<ProxyHeader> naive_v1(const Octets& input) {
  std::string line;
  for (std::size_t i = 0; i < input.size(); ++i) {
    line += static_cast<char>(input[i]);
    const bool lf = line.back() == '\n';
    const bool after_cr = line.size() > 1 && line[line.size() - 2] == '\r';
    if (lf != after_cr) return Malformed{Reason::proxy_syntax, line.size()};
    if (lf) break;
    if (line.size() == 107) return Malformed{Reason::proxy_syntax, 107};
  }
  if (line.back() != '\n') return NeedMore{};
  const std::size_t length = line.size();
  line.resize(length - 2);
  ProxyHeader header;
  header.version = 1;
  if (line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ")) return Parsed<ProxyHeader>{header, length};
  std::vector<std::string> words(1);
  for (const char c : line) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  const Malformed bad{Reason::proxy_syntax, length};
  if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6")) return bad;
  const auto source = Address::parse(words[2]);
  const auto destination = Address::parse(words[3]);
  const auto source_port = naive_port(words[4]);
  const auto destination_port = naive_port(words[5]);
  if (!source || !destination || !source_port || !destination_port) return bad;
  for (const std::size_t i : {std::size_t{2}, std::size_t{3}}) {
    if ((words[i].find(':') == std::string::npos) != (words[1] == "TCP4")) return bad;
  }
  header.connection = {{*source, *source_port}, {*destination, *destination_port}};
  return Parsed<ProxyHeader>{header, length};
}

std::uint16_t naive_u16(const Octets& octets, std::size_t at) {
  return static_cast<std::uint16_t>(octets[at] * 256 + octets[at + 1]);
}

bool naive_tlvs(const Octets& whole, std::size_t at, ProxyHeader& header) {
  int checksums = 0;
  while (at < whole.size()) {
    if (whole.size() - at < 3) return false;
    const std::size_t length = naive_u16(whole, at + 1);
    if (whole.size() - at - 3 < length) return false;
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(at + 3);
    const std::string value(begin, begin + static_cast<std::ptrdiff_t>(length));
    if (whole[at] == 1) header.alpn = value;
    if (whole[at] == 2) header.authority = value;
    if (whole[at] == 5) header.unique_id = value;
    if (whole[at] == 5 && length > 128) return false;
    if (whole[at] == 0xE0) header.user = value;
    if (whole[at] == 0xE0 && length > 255) return false;
    if (whole[at] == 3) {
      if (length != 4 || ++checksums > 1) return false;
      Octets zeroed = whole;
      for (std::size_t i = 0; i < 4; ++i) zeroed[at + 3 + i] = 0;
      const std::uint32_t sent = naive_u16(whole, at + 3) * 65536U + naive_u16(whole, at + 5);
      if (naive_crc32c(zeroed) != sent) return false;
    }
    at += 3 + length;
  }
  return true;
}

ParseResult<ProxyHeader> naive_v2(const Octets& input) {
  if (input.size() < 13) return NeedMore{};
  if (input[12] / 16 != 2) return Malformed{Reason::proxy_version, 13};
  if (input[12] % 16 > 1) return Malformed{Reason::proxy_syntax, 13};
  const bool local = input[12] == 0x20;
  if (input.size() < 14) return NeedMore{};
  std::size_t needed = 0;
  switch (local ? 0 : input[13]) {
    case 0x00:
      break;
    case 0x11:
    case 0x12:
      needed = 12;
      break;
    case 0x21:
    case 0x22:
      needed = 36;
      break;
    case 0x31:
    case 0x32:
      needed = 216;
      break;
    default:
      return Malformed{Reason::proxy_syntax, 14};
  }
  if (input.size() < 16) return NeedMore{};
  const std::size_t length = std::size_t{16} + naive_u16(input, 14);
  if (length > 4096 || length < 16 + needed) return Malformed{Reason::proxy_syntax, 16};
  if (input.size() < length) return NeedMore{};
  ProxyHeader header;
  header.version = 2;
  header.local = local;
  if (needed == 0) return Parsed<ProxyHeader>{header, length};
  const Octets whole = to_octets(ConstBytes(input).first(length));
  const ConstBytes bytes(whole);
  if (input[13] == 0x11) {
    header.connection = {{Address::v4(bytes.subspan<16, 4>()), naive_u16(whole, 24)},
                         {Address::v4(bytes.subspan<20, 4>()), naive_u16(whole, 26)}};
  }
  if (input[13] == 0x21) {
    header.connection = {{Address::v6(bytes.subspan<16, 16>()), naive_u16(whole, 48)},
                         {Address::v6(bytes.subspan<32, 16>()), naive_u16(whole, 50)}};
  }
  if (!naive_tlvs(whole, 16 + needed, header)) return Malformed{Reason::proxy_syntax, length};
  return Parsed<ProxyHeader>{header, length};
}

Endpoint random_endpoint(Random& random, bool ipv4) {
  const Octets octets = random.octets(16);
  return {.address = ipv4 ? Address::v4(ConstBytes(octets).first<4>()) : Address::v6(ConstBytes(octets).first<16>()),
          .port = static_cast<std::uint16_t>(random.below(0x10000))};
}

ProxiedConnection random_connection(Random& random) {
  return {.source = random_endpoint(random, random.one_in(2)),
          .destination = random_endpoint(random, random.one_in(2))};
}

struct HeaderCodec {
  using Message = ProxyHeader;
  static ParseResult<ProxyHeader> decode(ConstBytes input) { return decode_proxy_header(input); }
  static ParseResult<ProxyHeader> oracle(const Octets& input) {
    if (input.empty()) return NeedMore{};
    const Octets sign = input[0] == 'P' ? octets_of_text("PROXY ") : signature;
    for (std::size_t i = 0; i < sign.size(); ++i) {
      if (i == input.size()) return NeedMore{};
      if (input[i] != sign[i]) return Malformed{Reason::proxy_missing, i + 1};
    }
    return input[0] == 'P' ? naive_v1(input) : naive_v2(input);
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'Y'); }
  static Example<ProxyHeader> example(Random& random) {
    ProxyHeader header;
    header.connection = random_connection(random);
    header.version = random.one_in(2) ? 1 : 2;
    if (header.version == 1)
      return {.value = header, .encoded = to_octets(encode_proxy_v1(*header.connection).octets())};
    header.local = random.one_in(4);
    if (header.local) header.connection.reset();
    Octets octets = to_octets(encode_proxy_v2(header.connection).octets());
    if (!header.local && random.one_in(2)) octets = with_tlvs(random, header, octets);
    return {.value = header, .encoded = octets};
  }

 private:
  static Octets with_tlvs(Random& random, ProxyHeader& header, const Octets& plain) {
    Octets body(plain.begin() + 16, plain.end());
    const auto add = [&](std::uint8_t type, std::string& value) {
      const Octets drawn = random.octets(random.below(20));
      value.assign(drawn.begin(), drawn.end());
      append(body, tlv(type, drawn));
    };
    if (random.one_in(2)) add(0x01, header.alpn);
    if (random.one_in(2)) add(0x02, header.authority);
    if (random.one_in(2)) add(0x05, header.unique_id);
    if (random.one_in(2)) add(0xE0, header.user);
    if (random.one_in(2)) append(body, tlv(0xE1, random.octets(random.below(8))));
    return random.one_in(2) ? with_checksum(body, plain[13]) : version_2(0x21, plain[13], body);
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(ProxyHeader, CodecTest, HeaderCodec);

// --- By hand -----------------------------------------------------------------------------------------------------

ProxyHeader header_of(const Octets& octets) {
  return parsed(decode_proxy_header(octets));
}

std::string verdict(std::string_view text) {
  return describe(decode_proxy_header(octets_of_text(text)));
}

const ProxiedConnection y1{.source = {.address = Address::v4(203, 0, 113, 9), .port = 5000},
                           .destination = {.address = Address::v4(198, 51, 100, 7), .port = 1080}};

TEST(ProxyHeader, VectorsCarryTheConnection) {
  for (const char* id : {"Y1", "Y3", "Y4"}) EXPECT_EQ(header_of(vector_octets(vectors_path, id)).connection, y1) << id;
  const ProxyHeader local = header_of(vector_octets(vectors_path, "Y2"));
  EXPECT_TRUE(local.local);
  EXPECT_FALSE(local.connection.has_value());
  EXPECT_EQ(to_octets(encode_proxy_v1(y1).octets()), vector_octets(vectors_path, "Y1"));
  EXPECT_EQ(to_octets(encode_proxy_v2(std::nullopt).octets()), vector_octets(vectors_path, "Y2"));
  EXPECT_EQ(to_octets(encode_proxy_v2(y1).octets()), vector_octets(vectors_path, "Y3"));
}

TEST(ProxyHeaderV1, UnknownKeepsTheSocketsAddresses) {
  for (const char* line : {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN 1.2.3.4 anything \t else\r\n"}) {
    EXPECT_EQ(header_of(octets_of_text(line)).connection, std::nullopt) << line;
  }
  EXPECT_EQ(verdict("PROXY UNKNOWNS\r\n"), "malformed 16 pp.syntax");
}

TEST(ProxyHeaderV1, AnyDeviationIsRefused) {
  for (const char* line :
       {"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8  2\r\n", "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
        "PROXY TCP6 fe80::1%1 ::2 1 2\r\n", "PROXY TCP6 [::1] ::2 1 2\r\n", "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY \r\n", "PROXY  TCP4\r\n"}) {
    EXPECT_EQ(verdict(line), "malformed " + std::to_string(std::string_view(line).size()) + " pp.syntax") << line;
  }
}

TEST(ProxyHeaderV1, LonelyLineEndsAreRefusedAtOnce) {
  EXPECT_EQ(verdict("PROXY TCP4 1.2.3.4\n"), "malformed 19 pp.syntax");
  EXPECT_EQ(verdict("PROXY TCP4 1.2.3.4\rx"), "malformed 20 pp.syntax");
  EXPECT_EQ(verdict("PROXY UNKNOWN\r\r\n"), "malformed 15 pp.syntax");
}

TEST(ProxyHeaderV1, LineHasALimit) {
  const std::string longest = "PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\n";
  EXPECT_EQ(verdict(longest), "parsed 107");
  EXPECT_EQ(verdict("PROXY UNKNOWN " + std::string(107 - 15, 'x') + "\r\n"), "malformed 107 pp.syntax");
  EXPECT_EQ(verdict("PROXY UNKNOWN " + std::string(500, 'x')), "malformed 107 pp.syntax");
  // The specification's own longest TCP6 line.
  const Address all_ones = *Address::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  const ProxiedConnection widest{.source = {.address = all_ones, .port = 65535},
                                 .destination = {.address = all_ones, .port = 65535}};
  EXPECT_EQ(encode_proxy_v1(widest).octets().size(), 104U);
  EXPECT_EQ(header_of(to_octets(encode_proxy_v1(widest).octets())).connection, widest);
}

TEST(ProxyHeader, MixedFamiliesTravelAsIpv6) {
  ProxiedConnection mixed = y1;
  mixed.destination.address = *Address::parse("2001:db8::7");
  const Octets line = to_octets(encode_proxy_v1(mixed).octets());
  EXPECT_EQ(line, octets_of_text("PROXY TCP6 ::ffff:203.0.113.9 2001:db8::7 5000 1080\r\n"));
  EXPECT_EQ(header_of(line).connection, mixed);
  const auto binary = to_octets(encode_proxy_v2(mixed).octets());
  EXPECT_EQ(binary[13], 0x21);
  EXPECT_EQ(header_of(binary).connection, mixed);
}

TEST(ProxyHeader, AnythingElseIsMissing) {
  EXPECT_EQ(describe(decode_proxy_header(octets_of("05"))), "malformed 1 pp.missing");
  EXPECT_EQ(verdict("POST"), "malformed 2 pp.missing");
  EXPECT_EQ(verdict("PROXYX"), "malformed 6 pp.missing");
  EXPECT_EQ(describe(decode_proxy_header(octets_of("0D 0A 0D 0A 00 0D 0A 51 55 49 54 0B"))), "malformed 12 pp.missing");
}

TEST(ProxyHeaderV2, WhatIsNoTcpKeepsTheSocketsAddresses) {
  for (const auto& [family, octets] : std::vector<std::pair<int, std::size_t>>{
           {0x00, 0}, {0x00, 77}, {0x12, 12}, {0x22, 36}, {0x31, 216}, {0x32, 216}}) {
    const Octets header = version_2(0x21, static_cast<std::uint8_t>(family), Octets(octets, 0xAB));
    EXPECT_EQ(describe(decode_proxy_header(header)), "parsed " + std::to_string(16 + octets)) << family;
    EXPECT_EQ(header_of(header).connection, std::nullopt) << family;
  }
  EXPECT_TRUE(header_of(version_2(0x20, 0x99, Octets(50, 0xAB))).local) << "LOCAL: the family is ignored";
}

TEST(ProxyHeaderV2, ShortOrUnknownIsRefused) {
  for (const auto& [family, octets] : std::vector<std::pair<int, std::size_t>>{
           {0x11, 11}, {0x12, 11}, {0x21, 35}, {0x22, 35}, {0x31, 215}, {0x32, 0}}) {
    const Octets header = version_2(0x21, static_cast<std::uint8_t>(family), Octets(octets, 0));
    EXPECT_EQ(describe(decode_proxy_header(header)), "malformed 16 pp.syntax") << family;
  }
  for (const int family : {0x01, 0x02, 0x10, 0x13, 0x20, 0x30, 0x33, 0x41, 0xFF}) {
    const Octets header = version_2(0x21, static_cast<std::uint8_t>(family), Octets(216, 0));
    EXPECT_EQ(describe(decode_proxy_header(header)), "malformed 14 pp.syntax") << family;
  }
  EXPECT_EQ(describe(decode_proxy_header(version_2(0x22, 0x11, Octets(12, 0)))), "malformed 13 pp.syntax");
  EXPECT_EQ(describe(decode_proxy_header(version_2(0x31, 0x11, Octets(12, 0)))), "malformed 13 pp.version");
}

TEST(ProxyHeaderV2, LengthHasALimit) {
  EXPECT_EQ(describe(decode_proxy_header(version_2(0x20, 0, Octets(4080, 0)))), "parsed 4096");
  EXPECT_EQ(describe(decode_proxy_header(version_2(0x20, 0, Octets(4081, 0)))), "malformed 16 pp.syntax");
}

TEST(ProxyHeaderV2, TlvsOfInterest) {
  Octets body(12, 1);
  append(body, tlv(0x01, octets_of_text("http/1.1")));
  append(body, tlv(0x02, octets_of_text("proxy.example")));
  append(body, tlv(0x04, Octets(5, 0)));
  append(body, tlv(0x05, Octets(128, 'u')));
  append(body, tlv(0x20, octets_of("01 00 00 00 00")));
  append(body, tlv(0xE0, octets_of_text("alice")));
  append(body, tlv(0xEE, {}));
  const ProxyHeader header = header_of(with_checksum(body, 0x11));
  EXPECT_EQ(header.alpn, "http/1.1");
  EXPECT_EQ(header.authority, "proxy.example");
  EXPECT_EQ(header.unique_id, std::string(128, 'u'));
  EXPECT_EQ(header.user, "alice");
}

TEST(ProxyHeaderV2, AUserHasItsLongest) {
  for (const std::size_t length : {255U, 256U}) {
    Octets body(12, 1);
    append(body, tlv(0xE0, Octets(length, 'a')));
    const std::string said = describe(decode_proxy_header(version_2(0x21, 0x11, body)));
    EXPECT_EQ(said.starts_with("malformed"), length == 256) << said;
  }
}

TEST(ProxyHeaderV2, WhatIsToldBesidesTheAddressesIsRead) {
  const std::string longest(255, 'n');
  const ProxyTlvs tlvs{.authority = longest, .unique_id = "0123456789abcdef", .user = "alice@EXAMPLE.ORG"};
  const Octets octets = to_octets(encode_proxy_v2(y1, tlvs).octets());
  const ProxyHeader header = header_of(octets);
  EXPECT_EQ(header.connection, y1);
  EXPECT_EQ(header.authority, longest);
  EXPECT_EQ(header.unique_id, "0123456789abcdef");
  EXPECT_EQ(header.user, "alice@EXAMPLE.ORG");
  EXPECT_EQ(octets, [&] {
    Octets body(octets.begin() + 16, octets.begin() + 28);
    append(body, tlv(0x02, octets_of_text(longest)));
    append(body, tlv(0x05, octets_of_text("0123456789abcdef")));
    append(body, tlv(0xE0, octets_of_text("alice@EXAMPLE.ORG")));
    return version_2(0x21, 0x11, body);
  }());
}

TEST(ProxyHeaderV2, BrokenTlvsAreRefused) {
  for (const Octets& broken : {Octets{0x04}, Octets{0x04, 0x00}, Octets{0x04, 0x00, 0x01}, tlv(0x05, Octets(129, 'u')),
                               tlv(0x03, Octets(3, 0)), tlv(0x03, Octets(5, 0)), tlv(0x03, Octets(4, 0))}) {
    Octets body(12, 1);
    append(body, broken);
    const Octets header = version_2(0x21, 0x11, body);
    EXPECT_EQ(describe(decode_proxy_header(header)), "malformed " + std::to_string(header.size()) + " pp.syntax");
  }
}

TEST(ProxyHeaderV2, ChecksumCoversEveryOctet) {
  EXPECT_EQ(naive_crc32c(octets_of_text("123456789")), 0xE3069283U) << "the catalogued check value";
  const Octets good = with_checksum(Octets(12, 1), 0x11);
  EXPECT_EQ(describe(decode_proxy_header(good)), "parsed 35");
  for (std::size_t i = 16; i < good.size(); ++i) {
    Octets bad = good;
    bad[i] ^= 0x40;
    if (i == 28 || i == 29 || i == 30) continue;  // the TLV's own type and length
    EXPECT_EQ(describe(decode_proxy_header(bad)), "malformed 35 pp.syntax") << i;
  }
}

}  // namespace
}  // namespace stile::wire::testing
