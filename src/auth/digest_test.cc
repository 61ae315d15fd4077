#include "auth/digest.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace stile::auth {
namespace {

std::string hex(const Digest& digest) {
  std::string text;
  for (const std::uint8_t octet : digest) {
    std::array<char, 3> two{};
    std::snprintf(two.data(), two.size(), "%02x", octet);
    text += two.data();
  }
  return text;
}

// HMAC-SHA-256 with the key 00 01 … 1f over 8 octets of length, in this machine's order, and "Hi There".
TEST(Digest, IsTheHmacOfItsParts) {
  Digest key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  const auto made = DigestKey::create(key);
  ASSERT_TRUE(made);
  EXPECT_EQ(hex((*made)->of({"Hi There"})), "2940d9fda33498c178f69e875e5c6ea9e8b746677012a20c956d8aaf09889117");
}

TEST(Digest, LengthsArePartOfIt) {
  const auto key = DigestKey::create();
  ASSERT_TRUE(key);
  EXPECT_NE((*key)->of({"ab", "c"}), (*key)->of({"a", "bc"}));
  EXPECT_NE((*key)->of({"a", ""}), (*key)->of({"a"}));
  EXPECT_EQ((*key)->of({"a", "b"}), (*key)->of({"a", "b"}));
}

TEST(Digest, EveryKeyIsAnother) {
  const auto one = DigestKey::create();
  const auto other = DigestKey::create();
  ASSERT_TRUE(one && other);
  EXPECT_NE((*one)->of({"a"}), (*other)->of({"a"}));
}

}  // namespace
}  // namespace stile::auth
