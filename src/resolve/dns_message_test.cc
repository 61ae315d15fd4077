#include "resolve/dns_message.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/limits.h"

namespace stile::resolve {
namespace {

using std::chrono::seconds;
using Octets = std::vector<std::uint8_t>;

void append(Octets& to, const Octets& octets) {
  to.insert(to.end(), octets.begin(), octets.end());
}

Octets u32(std::uint32_t value) {
  return {static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
          static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}

/// A denial for x.test: a question, `answers` CNAME records, and an SOA record.
Octets denial(std::uint32_t ttl, std::uint32_t minimum, std::uint8_t answers = 0) {
  Octets message{0x12, 0x34, 0x81, 0x83, 0, 1, 0, answers, 0, 1, 0, 0};
  append(message, {1, 'x', 4, 't', 'e', 's', 't', 0, 0, 28, 0, 1});
  for (int i = 0; i < answers; ++i) append(message, {0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xC0, 12});
  append(message, {0xC0, 14, 0, 6, 0, 1});
  append(message, u32(ttl));
  append(message, {0, 28});  // two names of 2 and 6 octets, five figures
  append(message, {0xC0, 14, 3, 'o', 'p', 's', 0xC0, 14});
  for (int i = 0; i < 4; ++i) append(message, u32(7));
  append(message, u32(minimum));
  return message;
}

TEST(NegativeTtl, IsTheSmallerOfTtlAndMinimum) {  // RFC 2308 section 5
  EXPECT_EQ(negative_ttl(denial(3600, 60)), seconds(60));
  EXPECT_EQ(negative_ttl(denial(30, 600)), seconds(30));
  EXPECT_EQ(negative_ttl(denial(0, 600)), seconds(0));
}

TEST(NegativeTtl, LooksBehindAliases) {
  EXPECT_EQ(negative_ttl(denial(120, 60, 3)), seconds(60));
}

TEST(NegativeTtl, NegativeFiguresCountAsZero) {  // RFC 2181 section 8
  EXPECT_EQ(negative_ttl(denial(0x80000000U, 600)), seconds(0));
  EXPECT_EQ(negative_ttl(denial(600, 0xFFFFFFFFU)), seconds(0));
}

TEST(NegativeTtl, NoSoaMeansZero) {
  Octets message = denial(60, 60);
  message[9] = 0;
  EXPECT_EQ(negative_ttl(message), seconds(0));
  message = denial(60, 60);
  message[27] = 2;  // NS in place of SOA
  EXPECT_EQ(negative_ttl(message), seconds(0));
}

TEST(NegativeTtl, EveryPrefixGivesZero) {
  const Octets message = denial(60, 60, 1);
  ASSERT_EQ(negative_ttl(message), seconds(60));
  for (std::size_t length = 0; length < message.size(); ++length) {
    // Each in an allocation of its own size, so that a sanitizer sees a step beyond it.
    const auto exact = std::make_unique<std::uint8_t[]>(length);
    if (length != 0) std::memcpy(exact.get(), message.data(), length);
    EXPECT_EQ(negative_ttl(ConstBytes(exact.get(), length)), seconds(0)) << length;
  }
}

/// A name's pointer: an alias that lives `alias_ttl`, and a PTR record that lives `ttl`.
Octets pointer(std::uint32_t alias_ttl, std::uint32_t ttl) {
  Octets message{0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0};
  append(message, {1, 'x', 4, 'a', 'r', 'p', 'a', 0, 0, 12, 0, 1});
  append(message, {0xC0, 12, 0, 5, 0, 1});
  append(message, u32(alias_ttl));
  append(message, {0, 4, 1, 'y', 0xC0, 14});
  append(message, {0xC0, 12, 0, 12, 0, 1});
  append(message, u32(ttl));
  append(message, {0, 3, 1, 'z', 0});
  return message;
}

TEST(PointerRecords, AreTheNamesAndTheSmallestTime) {
  const Octets message = pointer(3600, 60);
  const auto records = pointer_records(message);
  ASSERT_TRUE(records);
  EXPECT_EQ(records->ttl, seconds(60));
  ASSERT_EQ(records->names.size(), 1U);
  EXPECT_EQ(Octets(records->names[0].begin(), records->names[0].end()), (Octets{1, 'z', 0}));
  EXPECT_EQ(pointer_records(pointer(30, 60))->ttl, seconds(30));
  EXPECT_EQ(pointer_records(pointer(0x8000'0000, 60))->ttl, seconds(0));  // RFC 2181 section 8
}

TEST(PointerRecords, NoneInADenial) {
  const auto records = pointer_records(denial(3600, 60));
  ASSERT_TRUE(records);
  EXPECT_TRUE(records->names.empty());
  EXPECT_EQ(records->ttl, seconds(0));
}

TEST(PointerRecords, NothingIsReadFromAMessageCutShort) {
  const Octets whole = pointer(3600, 60);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto copy = std::make_unique<std::uint8_t[]>(length);
    if (length != 0) std::memcpy(copy.get(), whole.data(), length);
    EXPECT_FALSE(pointer_records(ConstBytes(copy.get(), length))) << length;
  }
}

TEST(PointerRecords, AreBounded) {
  Octets message{0x12, 0x34, 0x81, 0x80, 0, 0, 0, 40, 0, 0, 0, 0};
  for (int i = 0; i < 40; ++i) append(message, {0, 0, 12, 0, 1, 0, 0, 0, 9, 0, 3, 1, 'z', 0});
  EXPECT_EQ(pointer_records(message)->names.size(), limits::candidates_max);
}

}  // namespace
}  // namespace stile::resolve
