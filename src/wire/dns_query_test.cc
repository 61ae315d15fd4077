// RFC 1035 section 4.1 against tests/vectors/dns.txt (D), and the answers octet for octet.
#include "wire/dns_query.h"

#include <gtest/gtest.h>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/dns.txt";

void put16(Octets& octets, std::size_t value) {
  octets.push_back(static_cast<std::uint8_t>(value / 256));
  octets.push_back(static_cast<std::uint8_t>(value % 256));
}

std::string shown(const std::string& label) {
  std::string text;
  for (const char c : label) text += c == '.' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return text;
}

struct QueryCodec {
  using Message = DnsQuery;
  static ParseResult<DnsQuery> decode(ConstBytes input) { return decode_dns_query(input); }
  static ParseResult<DnsQuery> oracle(const Octets& input) {
    if (input.size() < 12) return NeedMore{};
    DnsQuery query;
    query.id = static_cast<std::uint16_t>(input[0] * 256 + input[1]);
    query.is_answer = input[2] >= 128;
    query.opcode = static_cast<std::uint8_t>(input[2] / 8 % 16);
    query.recursion_desired = input[2] % 2 == 1;
    if (query.is_answer || input[4] != 0 || input[5] != 1) return Parsed<DnsQuery>{query, 12};
    std::size_t at = 12;
    DnsQuestion question;
    while (true) {
      if (at >= input.size()) return NeedMore{};
      const std::size_t length = input[at];
      if (length == 0) break;
      const bool too_long = at - 12 + 1 + length + 1 > 255;
      if (length > 63 || too_long) return Parsed<DnsQuery>{query, at + 1};
      if (at + 1 + length > input.size()) return NeedMore{};
      const std::string label(input.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                              input.begin() + static_cast<std::ptrdiff_t>(at + 1 + length));
      question.name += (question.name.empty() ? "" : ".") + shown(label);
      at += 1 + length;
    }
    if (at + 5 > input.size()) return NeedMore{};
    question.type = static_cast<std::uint16_t>(input[at + 1] * 256 + input[at + 2]);
    question.qclass = static_cast<std::uint16_t>(input[at + 3] * 256 + input[at + 4]);
    question.octets.assign(input.begin() + 12, input.begin() + static_cast<std::ptrdiff_t>(at) + 5);
    query.question = question;
    return Parsed<DnsQuery>{query, at + 5};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'D'); }
  static Example<DnsQuery> example(Random& random) {
    DnsQuestion question{.name = {},
                         .type = static_cast<std::uint16_t>(random.below(0x10000)),
                         .qclass = static_cast<std::uint16_t>(random.below(4)),
                         .octets = {}};
    for (std::size_t labels = random.below(5); labels > 0; --labels) {
      const Octets label = random.octets(1 + random.below(49));
      question.octets.push_back(static_cast<std::uint8_t>(label.size()));
      question.octets.insert(question.octets.end(), label.begin(), label.end());
      question.name += (question.name.empty() ? "" : ".") + shown({label.begin(), label.end()});
    }
    question.octets.push_back(0);
    put16(question.octets, question.type);
    put16(question.octets, question.qclass);
    const DnsQuery query{.id = static_cast<std::uint16_t>(random.below(0x10000)),
                         .is_answer = false,
                         .opcode = static_cast<std::uint8_t>(random.below(16)),
                         .recursion_desired = random.one_in(2),
                         .question = question};
    Octets encoded;
    put16(encoded, query.id);
    put16(encoded, query.opcode * 0x0800U + (query.recursion_desired ? 0x0100U : 0U));
    put16(encoded, 1);
    for (int section = 0; section < 3; ++section) put16(encoded, random.below(3));
    encoded.insert(encoded.end(), question.octets.begin(), question.octets.end());
    return {.value = query, .encoded = encoded};
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(DnsQuery, CodecTest, QueryCodec);

DnsQuery query_of(std::string_view id) {
  return parsed(decode_dns_query(vector_octets(vectors_path, id)));
}

TEST(DnsQuery, NamesAreReadAsSent) {
  EXPECT_EQ(query_of("D1").question->name, "www.example.com");
  EXPECT_EQ(query_of("D3").question->name, "1.1.18.198.in-addr.arpa");
  EXPECT_EQ(query_of("D4").question->name, "");
  EXPECT_EQ(query_of("D8").question->name, "a\\.b");
  EXPECT_EQ(query_of("D11").question->name.size(), 253U);
}

TEST(DnsQuery, AnswersEncodeOctetForOctet) {
  const std::vector<DnsRecord> one{Address::v4(198, 18, 1, 1)};
  EXPECT_EQ(encode_dns_answer(query_of("D1"), DnsStatus::no_error, one, 60),
            octets_of("12 34 81 80 00 01 00 01 00 00 00 00 03 77 77 77 07 65 78 61 6D 70 6C 65 03 63 6F 6D 00 00 01 00 "
                      "01 C0 0C 00 01 00 01 00 00 00 3C 00 04 C6 12 01 01"));
  const std::vector<DnsRecord> six{*Address::parse("fd73::1")};
  EXPECT_EQ(encode_dns_answer(query_of("D2"), DnsStatus::no_error, six, 0x12345678),
            octets_of("12 35 81 80 00 01 00 01 00 00 00 00 03 77 77 77 07 65 78 61 6D 70 6C 65 03 63 6F 6D 00 00 1C 00 "
                      "01 C0 0C 00 1C 00 01 12 34 56 78 00 10 FD 73 00*13 01"));
  const std::vector<DnsRecord> named{std::get<HostName>(*canonical_host("a.bc"))};
  EXPECT_EQ(encode_dns_answer(query_of("D3"), DnsStatus::no_error, named, 1),
            octets_of("12 36 81 80 00 01 00 01 00 00 00 00 01 31 01 31 02 31 38 03 31 39 38 07 69 6E 2D 61 64 64 72 04 "
                      "61 72 70 61 00 00 0C 00 01 C0 0C 00 0C 00 01 00 00 00 01 00 06 01 61 02 62 63 00"));
  EXPECT_EQ(encode_dns_answer(query_of("D9"), DnsStatus::not_implemented),
            octets_of("12 3C 90 84 00 01 00 00 00 00 00 00 01 61 00 00 01 00 01"));
  EXPECT_EQ(encode_dns_answer(query_of("D13"), DnsStatus::format_error),
            octets_of("12 40 81 81 00 00 00 00 00 00 00 00"));
}

TEST(DnsQuery, AnswersFitADatagram) {
  const std::vector<DnsRecord> many(100, Address::v4(198, 18, 1, 1));
  const auto answer = encode_dns_answer(query_of("D11"), DnsStatus::no_error, many, 60);
  EXPECT_LE(answer.size(), dns_datagram_octets_max);
  EXPECT_EQ(answer[7], (dns_datagram_octets_max - 271) / 16);  // as many as there is room for, and told so
  EXPECT_EQ(answer.size(), 271U + 16U * answer[7]);
}

}  // namespace
}  // namespace stile::wire::testing
