// The records between a server and its keeper of tickets: what is written is read, and nothing that is not whole.
#include "protect/ticket_records.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

namespace stile::protect {
namespace {

using Octets = std::vector<std::uint8_t>;
using namespace std::chrono_literals;

template <class Value>
Octets written(void (*encode)(ByteWriter&, const Value&) noexcept, const Value& value) {
  Octets room(300'000);
  ByteWriter writer(room);
  encode(writer, value);
  EXPECT_FALSE(writer.overflowed());
  room.resize(writer.written().size());
  return room;
}

TicketWishes some_wishes() {
  return {.list = 0x01020304,
          .wishes = {{.service = "rcmd", .host = "proxy.example", .keytab = "/etc/gate.keytab", .principal = "gate@R"},
                     {.service = "", .host = "", .keytab = "", .principal = ""},
                     {.service = "socks", .host = "::1", .keytab = std::string(65'535, 'k'), .principal = ""}}};
}

TEST(TicketRecords, WishesAsBytes) {
  const TicketWishes one{.list = 7, .wishes = {{.service = "s", .host = "h", .keytab = "", .principal = "p"}}};
  const Octets expected{1, 0, 0, 0, 7, 0, 1, 0, 1, 's', 0, 1, 'h', 0, 0, 0, 1, 'p'};
  EXPECT_EQ(written(encode_ticket_wishes, one), expected);
}

TEST(TicketRecords, WordsAsBytes) {
  const Octets key{9, 8};
  const TicketAnswer answer{
      .list = 7, .wish = 2, .expires = WallTime(258s), .client = "c", .service = "s", .exported = key};
  const Octets ticket{2, 0, 0, 0, 7, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 'c', 0, 1, 's', 9, 8};
  EXPECT_EQ(written(encode_ticket_answer, answer), ticket);
  const Octets trouble{3, 0, 0, 0, 7, 0, 2, 0, 2, 'n', 'o'};
  EXPECT_EQ(written(encode_ticket_trouble, TicketTrouble{.list = 7, .wish = 2, .why = "no"}), trouble);
}

TEST(TicketRecords, ThereAndBack) {
  for (const TicketWishes& wishes : {some_wishes(), TicketWishes{.list = 0, .wishes = {}}}) {
    EXPECT_EQ(decode_ticket_wishes(written(encode_ticket_wishes, wishes)), wishes);
  }
  const Octets key(100'000, 0x5A);
  const TicketAnswer answer{.list = 1,
                            .wish = 65'535,
                            .expires = WallTime(4'294'967'295s),
                            .client = "gate@R",
                            .service = "rcmd/h@R",
                            .exported = key};
  const Octets record = written(encode_ticket_answer, answer);
  const auto word = decode_ticket_word(record);
  ASSERT_TRUE(word && std::holds_alternative<TicketAnswer>(*word));
  const auto& read = std::get<TicketAnswer>(*word);
  EXPECT_EQ(read.expires, answer.expires);
  EXPECT_EQ(read.wish, 65'535);
  EXPECT_EQ(read.client, "gate@R");
  EXPECT_EQ(read.service, "rcmd/h@R");
  EXPECT_TRUE(std::ranges::equal(read.exported, key));
}

TEST(TicketRecords, WhatIsCutShortOrTooLongIsNone) {
  const auto bad = [](const Octets& record) { return !decode_ticket_wishes(record) && !decode_ticket_word(record); };
  const Octets key{1};
  const Octets wishes = written(
      encode_ticket_wishes, {.list = 1, .wishes = {{.service = "s", .host = "h", .keytab = "k", .principal = "p"}}});
  const Octets ticket =
      written(encode_ticket_answer,
              {.list = 1, .wish = 0, .expires = WallTime(1s), .client = "c", .service = "s", .exported = key});
  const Octets trouble = written(encode_ticket_trouble, {.list = 1, .wish = 0, .why = "w"});
  for (const Octets& record : {wishes, ticket, trouble}) {
    for (std::size_t size = 0; size < record.size(); ++size) {
      EXPECT_TRUE(bad(Octets(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(size)))) << size;
    }
  }
  for (Octets longer : {wishes, trouble}) {
    longer.push_back(0);
    EXPECT_TRUE(bad(longer));
  }
}

TEST(TicketRecords, ATicketHasAServiceAndAnEndInTime) {
  const Octets key{1};
  const auto ticket = [&](WallTime expires, std::string_view service) {
    return written(encode_ticket_answer,
                   {.list = 1, .wish = 0, .expires = expires, .client = "c", .service = service, .exported = key});
  };
  EXPECT_TRUE(decode_ticket_word(ticket(WallTime(1s), "s")));
  EXPECT_FALSE(decode_ticket_word(ticket(WallTime(1s), "")));
  EXPECT_FALSE(decode_ticket_word(ticket(WallTime(0s), "s")));
  EXPECT_FALSE(decode_ticket_word(ticket(WallTime(-1s), "s"))) << "more seconds than a clock holds";
}

TEST(TicketRecords, NoiseIsReadWithinItsBounds) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    Octets noise(random() % 40);
    for (std::uint8_t& octet : noise) octet = static_cast<std::uint8_t>(random() % 4);
    (void)decode_ticket_wishes(noise);
    (void)decode_ticket_word(noise);
  }
}

}  // namespace
}  // namespace stile::protect
