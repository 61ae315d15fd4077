// RFC 7617: its examples, every length, and random values against a naive oracle.
#include "wire/http_basic.h"

#include <gtest/gtest.h>

#include <array>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

/// "user|password", or "refused".
std::string decoded(std::string_view value) {
  std::array<std::uint8_t, basic_octets_max> room{};
  const GuardedOctets guarded(ConstBytes(reinterpret_cast<const std::uint8_t*>(value.data()), value.size()));
  const std::string_view text(reinterpret_cast<const char*>(guarded.octets().data()), value.size());
  const auto credentials = decode_basic(text, room);
  if (!credentials) return "refused";
  return std::string(credentials->user) + "|" + std::string(credentials->password);
}

TEST(HttpBasic, ExamplesOfTheRfc) {
  EXPECT_EQ(decoded("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin|open sesame");
  EXPECT_EQ(decoded("basic  dGVzdDoxMjPCow=="), "test|123\u00a3");
  EXPECT_EQ(encode_basic({.user = "Aladdin", .password = "open sesame"}), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

TEST(HttpBasic, FirstColonSplits) {
  EXPECT_EQ(decoded(encode_basic({.user = "a", .password = "b:c"})), "a|b:c");
  EXPECT_EQ(decoded("Basic Og=="), "|");
}

TEST(HttpBasic, AnythingElseIsRefused) {
  for (const char* value : {"", "Basic", "Basic ", "Bearer YTpi", "BasicYTpi", "Basic YTpi YTpi", "Basic YTp",
                            "Basic YT=i", "Basic YTpi=", "Basic YTpi====", "Basic =", "Basic ====", "Basic YWI=",
                            "Basic YTo_", "Basic YTpi\t", "Basic\tYTpi", "Basic Oh==", "Basic OmJ="}) {
    EXPECT_EQ(decoded(value), "refused") << value;
  }
}

TEST(HttpBasic, LongestFieldsFit) {
  const std::string user(255, 'u');
  const std::string password(255, 'p');
  EXPECT_EQ(decoded(encode_basic({.user = user, .password = password})), user + "|" + password);
  std::string value = "Basic ";
  for (int i = 0; i < 171; ++i) value += "OmFh";  // ":aa", 513 octets
  EXPECT_EQ(decoded(value), "refused");
  std::string long_password = "Basic ";
  for (int i = 0; i < 100; ++i) long_password += "OmFh";  // an empty user and 299 octets
  EXPECT_EQ(decoded(long_password), "refused");
}

/// Bit by bit.
std::string naive(std::string_view value) {
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (value.size() < 6) return "refused";
  std::string scheme(value.substr(0, 6));
  for (char& c : scheme) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (scheme != "basic ") return "refused";
  value.remove_prefix(5);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  std::string bits;
  std::size_t padding = 0;
  for (const char c : value) {
    const std::size_t at = alphabet.find(c);
    if (c == '=') {
      ++padding;
      continue;
    }
    if (padding > 0 || c == '\0' || at == std::string::npos) return "refused";
    for (int bit = 5; bit >= 0; --bit) bits += ((at >> bit) & 1) != 0 ? '1' : '0';
  }
  if (value.empty() || value.size() % 4 != 0 || padding > 2 || padding == value.size()) return "refused";
  const std::size_t octets = bits.size() / 8;
  if (bits.substr(octets * 8).find('1') != std::string::npos || bits.size() % 8 != padding * 2) return "refused";
  std::string text;
  for (std::size_t i = 0; i < octets; ++i) text += static_cast<char>(std::stoi(bits.substr(i * 8, 8), nullptr, 2));
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon > 255 || text.size() - colon - 1 > 255) return "refused";
  return text.substr(0, colon) + "|" + text.substr(colon + 1);
}

TEST(HttpBasic, EqualsTheNaiveDecoder) {
  Random random(8);
  for (int i = 0; i < 5'000; ++i) {
    std::string user;
    std::string password;
    for (std::size_t left = random.below(random.one_in(16) ? 256 : 6); left > 0; --left) {
      const auto octet = static_cast<char>(random.octet());
      user += octet == ':' ? ';' : octet;
    }
    for (std::size_t left = random.below(random.one_in(16) ? 256 : 6); left > 0; --left) {
      password += static_cast<char>(random.octet());
    }
    const std::string value = encode_basic({.user = user, .password = password});
    ASSERT_EQ(decoded(value), user + "|" + password);
    Octets octets(value.begin(), value.end());
    mutate(octets, random);
    const std::string mutated(octets.begin(), octets.end());
    ASSERT_EQ(decoded(mutated), naive(mutated)) << mutated;
  }
}

}  // namespace
}  // namespace stile::wire::testing
