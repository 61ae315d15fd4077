// What the server and its keeper of Kerberos tickets say to each other (ticket_keeper.h): decoder and encoder of each
// record, for both ends. A record is one message of a seqpacket socket. All numbers are big-endian, a text is its
// length and so many octets; lists are counted from 0.
//
//   wishes   01 | LIST 4 | COUNT 2 | COUNT of: SERVICE 2.. | HOST 2.. | KEYTAB 2.. | PRINCIPAL 2..      server
//   ticket   02 | LIST 4 | WISH 2 | EXPIRES 8 | CLIENT 2.. | SERVICE 2.. | EXPORTED, all that is left     keeper
//   trouble  03 | LIST 4 | WISH 2 | WHY 2..                                                              keeper
//
// EXPIRES is in seconds since 1970. Refuses: what is cut short, or has octets too many, and a ticket without octets,
// service or expiry. Decoders point into the input.
// Threading: pure functions. Tested in ticket_records_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "protect/gss_ticket.h"

namespace stile::protect {

struct TicketWishes {
  std::uint32_t list = 0;
  std::vector<TicketWish> wishes;

  friend bool operator==(const TicketWishes&, const TicketWishes&) = default;
};

struct TicketAnswer {
  std::uint32_t list = 0;
  std::uint16_t wish = 0;  // its place in that list
  WallTime expires{};
  std::string_view client;
  std::string_view service;
  ConstBytes exported;
};

struct TicketTrouble {
  std::uint32_t list = 0;
  std::uint16_t wish = 0;
  std::string_view why;
};

[[nodiscard]] std::optional<TicketWishes> decode_ticket_wishes(ConstBytes record);
[[nodiscard]] std::optional<std::variant<TicketAnswer, TicketTrouble>> decode_ticket_word(ConstBytes record);

// The writer has overflowed where a record would be longer than its room. A text or list that is longer than can be
// said is cut.
void encode_ticket_wishes(ByteWriter& writer, const TicketWishes& wishes) noexcept;
void encode_ticket_answer(ByteWriter& writer, const TicketAnswer& answer) noexcept;
void encode_ticket_trouble(ByteWriter& writer, const TicketTrouble& trouble) noexcept;

}  // namespace stile::protect
