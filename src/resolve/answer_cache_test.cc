#include "resolve/answer_cache.h"

#include <gtest/gtest.h>

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

Answer one_address(int last) {
  return {.addresses = {Address::v4(192, 0, 2, static_cast<std::uint8_t>(last))}};
}

TEST(AnswerCache, KeepsAnAnswerForItsTime) {
  AnswerCache cache(10);
  const Instant start{};
  cache.put(host("a.example"), one_address(1), 60s, start);
  ASSERT_NE(cache.find(host("a.example"), start + 59s), nullptr);
  EXPECT_EQ(cache.find(host("a.example"), start + 59s)->addresses, one_address(1).addresses);
  EXPECT_EQ(cache.find(host("b.example"), start), nullptr);
  EXPECT_EQ(cache.find(host("a.example"), start + 60s), nullptr);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(AnswerCache, ClampsTimes) {
  AnswerCache cache(10);
  const Instant start{};
  cache.put(host("short.example"), one_address(1), 0s, start);
  cache.put(host("long.example"), one_address(2), 86'400s, start);
  cache.put(host("odd.example"), one_address(2), -5s, start);
  EXPECT_NE(cache.find(host("short.example"), start + 999ms), nullptr);
  EXPECT_NE(cache.find(host("odd.example"), start + 999ms), nullptr);
  EXPECT_EQ(cache.find(host("short.example"), start + 1s), nullptr);
  EXPECT_NE(cache.find(host("long.example"), start + 299s), nullptr);
  EXPECT_EQ(cache.find(host("long.example"), start + 300s), nullptr);
}

TEST(AnswerCache, TheOldestMakesRoom) {
  AnswerCache cache(3);
  const Instant start{};
  cache.put(host("a.example"), one_address(1), 60s, start);
  cache.put(host("b.example"), one_address(2), 60s, start);
  cache.put(host("c.example"), one_address(3), 60s, start);
  cache.put(host("a.example"), one_address(4), 60s, start);  // renewed: the youngest
  cache.put(host("d.example"), one_address(5), 60s, start);
  EXPECT_EQ(cache.size(), 3U);
  EXPECT_EQ(cache.find(host("b.example"), start), nullptr);
  ASSERT_NE(cache.find(host("a.example"), start), nullptr);
  EXPECT_EQ(cache.find(host("a.example"), start)->addresses, one_address(4).addresses);
}

TEST(AnswerCache, AnAddressIsAnotherQuestionThanItsReverseName) {
  AnswerCache cache(10);
  cache.put(Address::v4(192, 0, 2, 1), {.addresses = {}, .name = host("a.example")}, 60s, Instant{});
  EXPECT_EQ(cache.find(host("1.2.0.192.in-addr.arpa"), Instant{}), nullptr);
  ASSERT_NE(cache.find(Address::v4(192, 0, 2, 1), Instant{}), nullptr);
  EXPECT_EQ(cache.find(Address::v4(192, 0, 2, 1), Instant{})->name, host("a.example"));
}

TEST(AnswerCache, NoRoomKeepsNothing) {
  AnswerCache cache(0);
  cache.put(host("a.example"), one_address(1), 60s, Instant{});
  EXPECT_EQ(cache.find(host("a.example"), Instant{}), nullptr);
}

}  // namespace
}  // namespace stile::resolve
