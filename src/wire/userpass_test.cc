// RFC 1929 section 2, against tests/vectors/userpass.txt (A, B).
#include "wire/userpass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/userpass.txt";

/// Credentials point into their input; an example's text must live somewhere until it was compared.
std::string_view kept(const Octets& octets) {
  static std::deque<std::string> texts;
  return texts.emplace_back(octets.begin(), octets.end());
}

struct CredentialsCodec {
  using Message = Credentials;
  static ParseResult<Credentials> decode(ConstBytes input) { return decode_credentials(input); }
  static ParseResult<Credentials> oracle(const Octets& input) {
    if (input.empty()) return NeedMore{};
    if (input[0] != 1) return Malformed{Reason::auth_version, 1};
    if (input.size() < 2) return NeedMore{};
    const std::size_t user_end = std::size_t{2} + input[1];
    if (input.size() < user_end + 1) return NeedMore{};
    const std::size_t password_end = user_end + 1 + input[user_end];
    if (input.size() < password_end) return NeedMore{};
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    return Parsed<Credentials>{{text.substr(2, input[1]), text.substr(user_end + 1, input[user_end])}, password_end};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'A'); }
  static Example<Credentials> example(Random& random) {
    const std::size_t bound = random.one_in(4) ? 256 : 12;
    const Credentials credentials{.user = kept(random.octets(random.below(bound))),
                                  .password = kept(random.octets(random.below(bound)))};
    std::array<std::uint8_t, credentials_octets_max> room{};
    ByteWriter writer(room);
    encode_credentials(writer, credentials);
    return {.value = credentials, .encoded = to_octets(writer.written())};
  }
};

struct CredentialsAnswerCodec {
  using Message = CredentialsAnswer;
  static ParseResult<CredentialsAnswer> decode(ConstBytes input) { return decode_credentials_answer(input); }
  static ParseResult<CredentialsAnswer> oracle(const Octets& input) {
    if (input.empty()) return NeedMore{};
    if (input[0] != 1) return Malformed{Reason::auth_version, 1};
    if (input.size() < 2) return NeedMore{};
    return Parsed<CredentialsAnswer>{{input[1]}, 2};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'B'); }
  static Example<CredentialsAnswer> example(Random& random) {
    const bool succeeded = random.one_in(2);
    return {.value = {.status = succeeded ? std::uint8_t{0} : std::uint8_t{1}},
            .encoded = to_octets(encode_credentials_answer(succeeded))};
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Credentials, CodecTest, CredentialsCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(CredentialsAnswer, CodecTest, CredentialsAnswerCodec);

/// `octets` must outlive the result.
Credentials parsed(const Octets& octets) {
  const auto result = decode_credentials(octets);
  const auto* message = std::get_if<Parsed<Credentials>>(&result);
  if (message == nullptr) {
    ADD_FAILURE() << describe(result);
    return {};
  }
  return message->value;
}

TEST(Credentials, FieldsOfTheVectors) {
  const Octets ordinary = vector_octets(vectors_path, "A1");
  EXPECT_EQ(parsed(ordinary), (Credentials{.user = "alice", .password = "secret"}));
  const Octets no_user = vector_octets(vectors_path, "A2");
  EXPECT_EQ(parsed(no_user), (Credentials{.user = "", .password = "x"}));
  const Octets no_password = vector_octets(vectors_path, "A3");
  EXPECT_EQ(parsed(no_password), (Credentials{.user = "a", .password = ""}));
}

TEST(Credentials, NulIsAnOctetOfTheUser) {
  const Octets octets = vector_octets(vectors_path, "A5");
  EXPECT_EQ(parsed(octets).user, std::string_view("a\0b", 3));
  EXPECT_NE(parsed(octets).user, "a");
}

TEST(Credentials, LongestFits) {
  const Octets octets = vector_octets(vectors_path, "A4");
  EXPECT_EQ(octets.size(), credentials_octets_max);
  EXPECT_EQ(parsed(octets).user, std::string(255, 'u'));
  EXPECT_EQ(parsed(octets).password, std::string(255, 'p'));
}

TEST(Credentials, FieldsPointIntoTheInput) {
  const Octets octets = vector_octets(vectors_path, "A1");
  EXPECT_EQ(parsed(octets).password.data(), reinterpret_cast<const char*>(octets.data()) + 8);
}

TEST(Credentials, EmptyFieldsAndControlOctetsReachNoBackEnd) {  // threats TA4, TA6
  const auto asks = [](std::string_view user, std::string_view password) {
    return can_be_asked({.user = user, .password = password});
  };
  EXPECT_TRUE(asks("alice", "secret"));
  EXPECT_TRUE(asks("b\xC3\xA4r", " \x01\x7F"));
  EXPECT_FALSE(asks("", "x"));
  EXPECT_FALSE(asks("a", ""));
  EXPECT_FALSE(asks(std::string_view("admin\0x", 7), "x"));
  EXPECT_FALSE(asks("a", std::string_view("x\0", 2)));
  for (const char octet : {'\x01', '\n', '\r', '\t', '\x1F', '\x7F'}) EXPECT_FALSE(asks(std::string(1, octet), "x"));
}

TEST(CredentialsAnswer, OnlyZeroIsSuccess) {
  EXPECT_TRUE(CredentialsAnswer{.status = 0}.succeeded());
  for (int status = 1; status < 256; ++status) {
    EXPECT_FALSE(CredentialsAnswer{.status = static_cast<std::uint8_t>(status)}.succeeded());
  }
  EXPECT_FALSE(CredentialsAnswer{}.succeeded()) << "success is never the default";
}

}  // namespace
}  // namespace stile::wire::testing
