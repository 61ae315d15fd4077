// SOCKS4 and SOCKS4a, against tests/vectors/socks4.txt (K, V, C).
#include "wire/socks4.h"

#include <gtest/gtest.h>

#include <utility>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/socks4.txt";

/// Where the NUL of a field stands that begins at `begin`; 256 octets without one are too many.
struct NaiveField {
  bool complete = false;
  bool too_long = false;
  std::string text;
};
NaiveField naive_field(const Octets& input, std::size_t begin) {
  NaiveField field;
  for (std::size_t i = begin; i < input.size(); ++i) {
    if (input[i] == 0) {
      field.complete = true;
      return field;
    }
    field.text += static_cast<char>(input[i]);
    if (field.text.size() == 256) {
      field.too_long = true;
      return field;
    }
  }
  return field;
}

struct RequestCodec {
  using Message = Socks4Request;
  static ParseResult<Socks4Request> decode(ConstBytes input) { return decode_socks4_request(input); }
  static ParseResult<Socks4Request> oracle(const Octets& input) {
    if (input.empty()) return NeedMore{};
    if (input[0] != 4) return Malformed{Reason::protocol_unknown, 1};
    if (input.size() < 8) return NeedMore{};
    Socks4Request request;
    const NaiveField user = naive_field(input, 8);
    if (user.too_long) return Malformed{Reason::request_user, 8 + 256};
    if (!user.complete) return NeedMore{};
    std::size_t length = 8 + user.text.size() + 1;
    request.user = user.text;
    request.destination.port = static_cast<std::uint16_t>(input[2] * 256 + input[3]);
    request.destination.host = Address::v4(input[4], input[5], input[6], input[7]);
    if (input[4] + input[5] + input[6] == 0 && input[7] > 0) {
      const NaiveField name = naive_field(input, length);
      if (name.too_long) return Malformed{Reason::request_name, length + 256};
      if (!name.complete) return NeedMore{};
      length += name.text.size() + 1;
      request.destination.type = AddressType::name;
      request.destination.received_name = name.text;
      request.destination.host = canonical_host(name.text);
    }
    if (input[1] != 1 && input[1] != 2 && input[1] != 0xF0) return Malformed{Reason::command_unknown, length};
    request.command = static_cast<Command>(input[1]);
    return Parsed<Socks4Request>{request, length};
  }
  static std::vector<Vector> vectors() {
    std::vector<Vector> all = read_vectors(vectors_path, 'K');
    for (Vector& coalesced : read_vectors(vectors_path, 'C')) all.push_back(std::move(coalesced));
    return all;
  }
  static Example<Socks4Request> example(Random& random) {
    Socks4Request request;
    request.command = random.pick(std::array{Command::connect, Command::bind, Command::resolve});
    for (std::size_t left = random.one_in(4) ? random.below(256) : random.below(12); left > 0; --left) {
      request.user += static_cast<char>(1 + random.below(255));
    }
    Target target = random_target(random);
    if (random.one_in(8)) target.host = Address::v4(0, 0, 0, random.octet());
    request.destination = field_of(target);
    const Address* address = target.address();
    const bool short_of_4a = address != nullptr && address->is_v4() && address->octets()[0] == 0 &&
                             address->octets()[1] == 0 && address->octets()[2] == 0 && address->octets()[3] != 0;
    if (address != nullptr && (!address->is_v4() || short_of_4a)) {
      request.destination.type = AddressType::name;
      request.destination.received_name = address->to_string();
    }
    return {.value = request,
            .encoded = to_octets(encode_socks4_request(request.command, target, request.user).octets())};
  }
};

struct ReplyCodec {
  using Message = Socks4Reply;
  static ParseResult<Socks4Reply> decode(ConstBytes input) { return decode_socks4_reply(input); }
  static ParseResult<Socks4Reply> oracle(const Octets& input) {
    if (!input.empty() && input[0] != 0 && input[0] != 4) return Malformed{Reason::protocol_unknown, 1};
    if (input.size() < 8) return NeedMore{};
    return Parsed<Socks4Reply>{{.code = static_cast<Socks4Code>(input[1]),
                                .bound = {.address = Address::v4(input[4], input[5], input[6], input[7]),
                                          .port = static_cast<std::uint16_t>(input[2] * 256 + input[3])}},
                               8};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'V'); }
  static Example<Socks4Reply> example(Random& random) {
    const Octets address = random.octets(4);
    const Socks4Reply reply{.code = static_cast<Socks4Code>(random.octet()),
                            .bound = {.address = Address::v4(ConstBytes(address).first<4>()),
                                      .port = static_cast<std::uint16_t>(random.below(0x10000))}};
    return {.value = reply, .encoded = to_octets(encode_socks4_reply(reply.code, reply.bound))};
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Socks4Request, CodecTest, RequestCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(Socks4Reply, CodecTest, ReplyCodec);

Socks4Request request_vector(std::string_view id) {
  return parsed(decode_socks4_request(vector_octets(vectors_path, id)));
}

TEST(Socks4Request, TargetsOfTheVectors) {
  const std::vector<std::tuple<const char*, Command, const char*, const char*>> expected = {
      {"K1", Command::connect, "192.0.2.10:80", "bob"}, {"K2", Command::connect, "example.com:80", "bob"},
      {"K3", Command::connect, "0.1.2.3:80", ""},       {"K5", Command::bind, "203.0.113.9:21", "bob"},
      {"K6", Command::resolve, "example.com:0", ""},    {"C4", Command::connect, "192.0.2.10:80", "bob"}};
  for (const auto& [id, command, target, user] : expected) {
    const Socks4Request request = request_vector(id);
    EXPECT_EQ(request.command, command) << id;
    EXPECT_EQ(target_text(request.destination), target) << id;
    EXPECT_EQ(request.user, user) << id;
  }
}

// All three leading octets must be zero: 0.1.2.3 is an address, and what follows its user id is payload.
TEST(Socks4Request, OnlyThreeZeroOctetsAnnounceAName) {
  EXPECT_EQ(request_vector("K2").destination.type, AddressType::name);
  EXPECT_EQ(request_vector("K3").destination.type, AddressType::ipv4);
  for (const char* address : {"00 00 01 01", "00 01 00 01", "01 00 00 01", "00 00 00 00"}) {
    const Octets octets = octets_of("04 01 00 50 " + std::string(address) + " 00 61 00");
    EXPECT_EQ(describe(decode_socks4_request(octets)), "parsed 9") << address;
  }
}

TEST(Socks4Request, EmptyNameIsRefusedAsAValue) {
  const Socks4Request request = request_vector("K4");
  EXPECT_TRUE(request.destination.is_empty_name());
  EXPECT_EQ(reason_of(request.destination.host.error()), Reason::request_name);
}

TEST(Socks4Request, NameMayBeAnIpv6Literal) {
  const Target target{.host = *Address::parse("2001:db8::1"), .port = 80};
  const Socks4Request request =
      parsed(decode_socks4_request(encode_socks4_request(Command::connect, target, "").octets()));
  EXPECT_EQ(request.destination.received_name, "2001:db8::1");
  EXPECT_EQ(request.destination.target(), target);
}

// TP3: neither an endless user id nor an endless name is waited for.
TEST(Socks4Request, FieldsWithoutNulEndAtTheirLimit) {
  Octets user = octets_of("04 01 00 50 C0 00 02 0A");
  user.insert(user.end(), 255, 'u');
  EXPECT_EQ(describe(decode_socks4_request(user)), "need more");
  user.push_back(0);
  EXPECT_EQ(describe(decode_socks4_request(user)), "parsed 264");
  user.back() = 'u';
  EXPECT_EQ(describe(decode_socks4_request(user)), "malformed 264 request.user");

  Octets name = octets_of("04 01 00 50 00 00 00 01 62 00");
  name.insert(name.end(), 255, 'n');
  EXPECT_EQ(describe(decode_socks4_request(name)), "need more");
  name.push_back(0);
  EXPECT_EQ(describe(decode_socks4_request(name)), "parsed 266");
  name.back() = 'n';
  EXPECT_EQ(describe(decode_socks4_request(name)), "malformed 266 request.name");
}

TEST(Socks4Reply, VectorsEncodeOctetForOctet) {
  const Endpoint granted{.address = Address::v4(198, 51, 100, 7), .port = 40000};
  EXPECT_EQ(to_octets(encode_socks4_reply(Socks4Code::granted, granted)), vector_octets(vectors_path, "V1"));
  EXPECT_EQ(to_octets(encode_socks4_reply(Socks4Code::rejected)), vector_octets(vectors_path, "V2"));
  const Endpoint resolved{.address = Address::v4(192, 0, 2, 10), .port = 0};
  EXPECT_EQ(to_octets(encode_socks4_reply(Socks4Code::granted, resolved)), vector_octets(vectors_path, "V3"));
}

TEST(Socks4Reply, VersionMayBeFourOrZero) {
  for (const std::uint8_t version : {std::uint8_t{0}, std::uint8_t{4}}) {
    Octets octets = vector_octets(vectors_path, "V1");
    octets[0] = version;
    EXPECT_EQ(parsed(decode_socks4_reply(octets)).code, Socks4Code::granted);
  }
}

TEST(Socks4Reply, Ipv6IsShownAsZero) {
  const Endpoint bound{.address = *Address::parse("2001:db8::7"), .port = 40000};
  EXPECT_EQ(to_octets(encode_socks4_reply(Socks4Code::granted, bound)), octets_of("00 5A 9C 40 00 00 00 00"));
}

TEST(Socks4Reply, EveryFailureIsRejected) {
  for (int i = 0; i < reason_count; ++i) {
    const auto reason = static_cast<Reason>(i);
    EXPECT_EQ(socks4_code(reason), reason == Reason::none ? Socks4Code::granted : Socks4Code::rejected)
        << token(reason);
  }
}

}  // namespace
}  // namespace stile::wire::testing
