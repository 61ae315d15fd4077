// RFC 1928 sections 3, 4 and 6, against tests/vectors/socks5.txt (G, M, Q, P, C).
#include "wire/socks5.h"

#include <gtest/gtest.h>

#include <set>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/socks5.txt";

struct GreetingCodec {
  using Message = Greeting;
  static ParseResult<Greeting> decode(ConstBytes input) { return decode_greeting(input); }
  static ParseResult<Greeting> oracle(const Octets& input) {
    if (input.empty()) return NeedMore{};
    if (input[0] != 5) return Malformed{Reason::protocol_unknown, 1};
    if (input.size() == 1) return NeedMore{};
    const std::size_t length = std::size_t{2} + input[1];
    if (input.size() < length) return NeedMore{};
    Greeting greeting;
    greeting.count = input[1];
    for (std::size_t i = 2; i < length; ++i) greeting.methods[input[i]] = true;
    return Parsed<Greeting>{greeting, length};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'G'); }
  static Example<Greeting> example(Random& random) {
    std::vector<Method> methods(random.one_in(8) ? random.below(256) : random.below(5));
    Greeting greeting{.methods = {}, .count = static_cast<std::uint8_t>(methods.size())};
    for (Method& method : methods) {
      method = static_cast<Method>(random.octet());
      greeting.methods.set(static_cast<std::size_t>(method));
    }
    return {.value = greeting, .encoded = to_octets(encode_greeting(methods).octets())};
  }
};

struct MethodChoiceCodec {
  using Message = MethodChoice;
  static ParseResult<MethodChoice> decode(ConstBytes input) { return decode_method_choice(input); }
  static ParseResult<MethodChoice> oracle(const Octets& input) {
    if (input.empty()) return NeedMore{};
    if (input[0] != 5) return Malformed{Reason::protocol_unknown, 1};
    if (input.size() < 2) return NeedMore{};
    return Parsed<MethodChoice>{{static_cast<Method>(input[1])}, 2};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'M'); }
  static Example<MethodChoice> example(Random& random) {
    const auto method = static_cast<Method>(random.octet());
    return {.value = {.method = method}, .encoded = to_octets(encode_method_choice(method))};
  }
};

/// The length of a message whose ATYP stands at octet 3, if the input shows it; `known` says whether ATYP is defined.
std::optional<std::size_t> naive_length(const Octets& input, bool& known) {
  known = true;
  if (input.size() < 4) return std::nullopt;
  if (input[3] == 1) return 10;
  if (input[3] == 4) return 22;
  if (input[3] == 3) return input.size() < 5 ? std::nullopt : std::optional(std::size_t{7} + input[4]);
  known = false;
  return 4;
}

AddressField naive_field(const Octets& input, std::size_t length) {
  AddressField field;
  field.type = static_cast<AddressType>(input[3]);
  field.port = static_cast<std::uint16_t>(input[length - 2] * 256 + input[length - 1]);
  if (input[3] == 1) {
    field.host = Address::v4(input[4], input[5], input[6], input[7]);
  } else if (input[3] == 4) {
    field.host = Address::v6(ConstBytes(input).subspan<4, 16>());
  } else {
    for (std::size_t i = 5; i < length - 2; ++i) field.received_name += static_cast<char>(input[i]);
    field.host = canonical_host(field.received_name);
  }
  return field;
}

struct RequestCodec {
  using Message = Request;
  static ParseResult<Request> decode(ConstBytes input) { return decode_request(input); }
  static ParseResult<Request> oracle(const Octets& input) {
    const std::set<int> commands = {0x01, 0x02, 0x03, 0x80, 0x81, 0xF0, 0xF1};
    if (!input.empty() && input[0] != 5) return Malformed{Reason::request_version, 1};
    bool type_known = true;
    const auto length = naive_length(input, type_known);
    if (!length || input.size() < *length) return NeedMore{};
    if (!commands.contains(input[1])) return Malformed{Reason::command_unknown, *length};
    if (!type_known) return Malformed{Reason::address_type_unknown, *length};
    return Parsed<Request>{{static_cast<Command>(input[1]), input[2], naive_field(input, *length)}, *length};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'Q'); }
  static Example<Request> example(Random& random);
};

struct ReplyCodec {
  using Message = Reply;
  static ParseResult<Reply> decode(ConstBytes input) { return decode_reply(input); }
  static ParseResult<Reply> oracle(const Octets& input) {
    if (!input.empty() && input[0] != 5) return Malformed{Reason::protocol_unknown, 1};
    bool type_known = true;
    const auto length = naive_length(input, type_known);
    if (!length || input.size() < *length) return NeedMore{};
    if (!type_known) return Malformed{Reason::address_type_unknown, *length};
    return Parsed<Reply>{{static_cast<ReplyCode>(input[1]), input[2], naive_field(input, *length)}, *length};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'P'); }
  static Example<Reply> example(Random& random);
};

Example<Request> RequestCodec::example(Random& random) {
  constexpr std::array<Command, 7> commands = {Command::connect,   Command::bind,    Command::udp_associate,
                                               Command::ping,      Command::resolve, Command::resolve_ptr,
                                               Command::traceroute};
  const Target target = random_target(random);
  const Request request{.command = random.pick(commands), .reserved = random.octet(), .destination = field_of(target)};
  return {.value = request, .encoded = to_octets(encode_request(request.command, target, request.reserved).octets())};
}

Example<Reply> ReplyCodec::example(Random& random) {
  const Target target = random_target(random);
  const Reply reply{.code = static_cast<ReplyCode>(random.octet()), .reserved = 0, .bound = field_of(target)};
  return {.value = reply, .encoded = to_octets(encode_reply(reply.code, target).octets())};
}

INSTANTIATE_TYPED_TEST_SUITE_P(Socks5Greeting, CodecTest, GreetingCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(Socks5MethodChoice, CodecTest, MethodChoiceCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(Socks5Request, CodecTest, RequestCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(Socks5Reply, CodecTest, ReplyCodec);

Request request_vector(std::string_view id) {
  return parsed(decode_request(vector_octets(vectors_path, id)));
}
Reply reply_vector(std::string_view id) {
  return parsed(decode_reply(vector_octets(vectors_path, id)));
}

TEST(Socks5Greeting, SaysWhatWasOffered) {
  const Greeting greeting = parsed(decode_greeting(vector_octets(vectors_path, "G3")));
  EXPECT_EQ(greeting.count, 4);
  EXPECT_EQ(greeting.methods.count(), 3U) << "the duplicate counts once here";
  EXPECT_TRUE(greeting.offers(Method::none));
  EXPECT_TRUE(greeting.offers(Method::password));
  EXPECT_FALSE(greeting.offers(Method::gssapi));
  EXPECT_EQ(parsed(decode_greeting(vector_octets(vectors_path, "G4"))), Greeting{});
}

TEST(Socks5Greeting, LongestFits) {
  const std::vector<Method> methods(255, static_cast<Method>(0x80));
  EXPECT_EQ(encode_greeting(methods).octets().size(), greeting_octets_max);
}

TEST(Socks5Request, Commands) {
  const std::vector<std::pair<const char*, Command>> expected = {
      {"Q1", Command::connect},      {"Q18", Command::bind},          {"Q19", Command::bind},
      {"Q20", Command::bind},        {"Q21", Command::udp_associate}, {"Q24", Command::resolve},
      {"Q25", Command::resolve_ptr}, {"Q26", Command::resolve_ptr},   {"Q27", Command::ping},
      {"Q28", Command::traceroute}};
  for (const auto& [id, command] : expected) EXPECT_EQ(request_vector(id).command, command) << id;
}

TEST(Socks5Request, Targets) {
  const std::vector<std::pair<const char*, const char*>> expected = {
      {"Q1", "192.0.2.10:80"}, {"Q2", "example.com:443"},    {"Q3", "[2001:db8::1]:80"}, {"Q4", "192.0.2.10:80"},
      {"Q5", "192.0.2.10:80"}, {"Q8", "127.0.0.1:80"},       {"Q9", "[2001:db8::1]:80"}, {"Q12", "192.0.2.10:0"},
      {"Q13", "0.0.0.0:80"},   {"Q20", "255.255.255.255:0"}, {"Q23", "203.0.113.9:53"}};
  for (const auto& [id, text] : expected) EXPECT_EQ(target_text(request_vector(id).destination), text) << id;
}

TEST(Socks5Request, ReservedOctetIsHandedOn) {
  EXPECT_EQ(request_vector("Q1").reserved, 0);
  EXPECT_EQ(request_vector("Q5").reserved, 0x5A);
  EXPECT_EQ(request_vector("Q28").reserved, 0x03);
}

TEST(Socks5Request, RefusedNamesKeepCommandPortAndOctets) {
  const Request nul = request_vector("Q7");
  EXPECT_EQ(nul.command, Command::connect);
  EXPECT_EQ(nul.destination.port, 80);
  EXPECT_EQ(nul.destination.received_name, std::string("a\0b.c", 5));
  ASSERT_FALSE(nul.destination.host.has_value());
  EXPECT_EQ(nul.destination.host.error(), (HostError{.rejection = HostRejection::bad_byte, .octet = 0}));
  EXPECT_FALSE(nul.destination.target().has_value());

  const std::vector<std::pair<const char*, Reason>> expected = {{"Q6", Reason::request_name},
                                                                {"Q7", Reason::request_name},
                                                                {"Q10", Reason::name_impossible},
                                                                {"Q11", Reason::name_impossible}};
  for (const auto& [id, reason] : expected) {
    EXPECT_EQ(reason_of(request_vector(id).destination.host.error()), reason) << id;
  }
}

TEST(Socks5Request, EmptyNameMayMeanUnspecified) {
  EXPECT_TRUE(request_vector("Q6").destination.is_empty_name());
  const Request associate = request_vector("Q22");
  EXPECT_EQ(associate.command, Command::udp_associate);
  EXPECT_TRUE(associate.destination.is_empty_name());
  EXPECT_FALSE(request_vector("Q7").destination.is_empty_name());
  EXPECT_FALSE(request_vector("Q13").destination.is_empty_name());
}

TEST(Socks5Request, TypeIsAsSent) {
  EXPECT_EQ(request_vector("Q4").destination.type, AddressType::ipv6) << "though the host is IPv4";
  EXPECT_EQ(request_vector("Q8").destination.type, AddressType::name) << "though the host is an address";
}

TEST(Socks5Reply, CodesAndBoundAddresses) {
  const std::vector<std::tuple<const char*, ReplyCode, const char*>> expected = {
      {"P1", ReplyCode::succeeded, "198.51.100.7:40000"}, {"P2", ReplyCode::succeeded, "[2001:db8::7]:40000"},
      {"P3", ReplyCode::connection_refused, "0.0.0.0:0"}, {"P4", ReplyCode::succeeded, "198.51.100.7:40001"},
      {"P5", ReplyCode::succeeded, "203.0.113.9:20"},     {"P6", ReplyCode::succeeded, "192.0.2.10:0"},
      {"P7", ReplyCode::succeeded, "example.com:0"}};
  for (const auto& [id, code, bound] : expected) {
    const Reply reply = reply_vector(id);
    EXPECT_EQ(reply.code, code) << id;
    EXPECT_EQ(target_text(reply.bound), bound) << id;
    EXPECT_EQ(to_octets(encode_reply(code, *reply.bound.target()).octets()), vector_octets(vectors_path, id)) << id;
  }
}

TEST(Socks5Reply, FailureCarriesZeroAddress) {
  EXPECT_EQ(to_octets(encode_reply(ReplyCode::connection_refused).octets()), vector_octets(vectors_path, "P3"));
}

// A proxy's BND name of any length is read, whatever it holds: clients mostly ignore it.
TEST(Socks5Reply, BoundNamesOfAllLengths) {
  for (const std::size_t length : std::array<std::size_t, 5>{0, 1, 127, 128, 255}) {
    Octets octets = {0x05, 0x00, 0x00, 0x03, static_cast<std::uint8_t>(length)};
    octets.insert(octets.end(), length, 'a');
    octets.insert(octets.end(), {0x9C, 0x40});
    const Reply reply = parsed(decode_reply(octets));
    EXPECT_EQ(reply.bound.received_name.size(), length);
    EXPECT_EQ(reply.bound.port, 40000);
    EXPECT_EQ(reply.bound.host.has_value(), length == 1) << "the others are empty or one label too long";
  }
}

// Read as the codec asks, a reply ends at its own last octet, whatever stands behind it.
TEST(Socks5Reply, IsReadWithoutTakingWhatFollows) {
  Random random(4);
  std::vector<Octets> replies;
  for (const Vector& vector : ReplyCodec::vectors()) replies.push_back(vector.octets);
  for (int i = 0; i < 2'000; ++i) replies.push_back(ReplyCodec::example(random).encoded);
  for (const Octets& reply : replies) {
    std::size_t held = 0;
    for (int reads = 0; reply_octets_missing(ConstBytes(reply).first(held)) != 0; ++reads) {
      ASSERT_LT(reads, 3);
      held += reply_octets_missing(ConstBytes(reply).first(held));
      ASSERT_LE(held, reply.size());
    }
    EXPECT_EQ(held, reply.size());
    for (std::size_t size = 0; size <= reply.size(); ++size) {
      EXPECT_LE(reply_octets_missing(ConstBytes(reply).first(size)), reply.size() - size) << size;
    }
  }
}

TEST(Socks5Messages, CoalescedStagesConsumeExactlyTheirOctets) {
  const Octets c1 = vector_octets(vectors_path, "C1");
  const auto greeting = decode_greeting(c1);
  ASSERT_EQ(describe(greeting), "parsed 3");
  const ConstBytes behind = ConstBytes(c1).subspan(3);
  ASSERT_EQ(describe(decode_request(behind)), "parsed 10");
  EXPECT_EQ(to_octets(behind.subspan(10)), octets_of("47 45 54 20 2F 0D 0A"));
}

TEST(AddressFields, EveryRejectionHasItsReason) {
  const std::vector<std::pair<HostRejection, Reason>> expected = {
      {HostRejection::empty, Reason::request_name},
      {HostRejection::bad_byte, Reason::request_name},
      {HostRejection::bad_colon, Reason::request_name},
      {HostRejection::empty_label, Reason::name_impossible},
      {HostRejection::label_too_long, Reason::name_impossible},
      {HostRejection::name_too_long, Reason::name_impossible},
      {HostRejection::leading_hyphen, Reason::name_impossible},
      {HostRejection::numeric, Reason::name_impossible}};
  for (const auto& [rejection, reason] : expected) {
    EXPECT_EQ(reason_of({.rejection = rejection}), reason) << name(rejection);
  }
}

TEST(AddressFields, LongestNameFitsARequest) {
  const std::string name =
      std::string(63, 'a') + '.' + std::string(63, 'b') + '.' + std::string(63, 'c') + '.' + std::string(61, 'd');
  const Target target{.host = canonical_host(name).value(), .port = 0xFFFF};
  const auto encoded = encode_request(Command::connect, target);
  EXPECT_EQ(encoded.octets().size(), 7U + 253U);
  EXPECT_EQ(parsed(decode_request(encoded.octets())).destination.target(), target);
}

}  // namespace
}  // namespace stile::wire::testing
