#include "protect/ticket_records.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace stile::protect {
namespace {

enum class Kind : std::uint8_t { wishes = 1, ticket = 2, trouble = 3 };

constexpr std::size_t text_octets_max = 0xFFFF;
constexpr std::size_t wishes_max = 0xFFFF;
// What a clock can hold.
constexpr auto seconds_max = std::chrono::floor<std::chrono::seconds>(WallTime::max().time_since_epoch()).count();

ConstBytes octets_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

std::uint32_t read_u32(ByteReader& body) noexcept {
  const std::uint32_t high = body.u16();
  return (high << 16) | body.u16();
}

std::uint64_t read_u64(ByteReader& body) noexcept {
  const std::uint64_t high = read_u32(body);
  return (high << 32) | read_u32(body);
}

std::string_view read_text(ByteReader& body) noexcept {
  const ConstBytes octets = body.take(body.u16());
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

bool is_whole(const ByteReader& body) noexcept {
  return !body.short_of_input() && body.rest().empty();
}

std::optional<TicketAnswer> read_answer(ByteReader& body) {
  TicketAnswer answer;
  answer.list = read_u32(body);
  answer.wish = body.u16();
  const std::uint64_t seconds = read_u64(body);
  answer.client = read_text(body);
  answer.service = read_text(body);
  answer.exported = body.take(body.rest().size());
  const bool good = is_whole(body) && seconds > 0 && seconds <= static_cast<std::uint64_t>(seconds_max) &&
                    !answer.service.empty() && !answer.exported.empty();
  if (!good) return std::nullopt;
  answer.expires = WallTime(std::chrono::seconds(static_cast<std::int64_t>(seconds)));
  return answer;
}

std::optional<TicketTrouble> read_trouble(ByteReader& body) {
  TicketTrouble trouble;
  trouble.list = read_u32(body);
  trouble.wish = body.u16();
  trouble.why = read_text(body);
  if (!is_whole(body)) return std::nullopt;
  return trouble;
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void write_u32(ByteWriter& writer, std::uint32_t value) noexcept {
  writer.u16(static_cast<std::uint16_t>(value >> 16));
  writer.u16(static_cast<std::uint16_t>(value & 0xFFFF));
}

void write_text(ByteWriter& writer, std::string_view text) noexcept {
  const std::string_view said = text.substr(0, text_octets_max);
  writer.u16(static_cast<std::uint16_t>(said.size()));
  writer.append(octets_of(said));
}

void write_head(ByteWriter& writer, Kind kind, std::uint32_t list) noexcept {
  writer.u8(static_cast<std::uint8_t>(kind));
  write_u32(writer, list);
}

}  // namespace

std::optional<TicketWishes> decode_ticket_wishes(ConstBytes record) {
  ByteReader body(record);
  if (body.u8() != static_cast<std::uint8_t>(Kind::wishes)) return std::nullopt;
  TicketWishes read;
  read.list = read_u32(body);
  const std::size_t count = body.u16();
  for (std::size_t i = 0; i < count && !body.short_of_input(); ++i) {
    TicketWish& wish = read.wishes.emplace_back();
    for (std::string* const text : {&wish.service, &wish.host, &wish.keytab, &wish.principal}) *text = read_text(body);
  }
  if (!is_whole(body)) return std::nullopt;
  return read;
}

std::optional<std::variant<TicketAnswer, TicketTrouble>> decode_ticket_word(ConstBytes record) {
  ByteReader body(record);
  const std::uint8_t kind = body.u8();
  if (kind == static_cast<std::uint8_t>(Kind::ticket)) return read_answer(body);
  if (kind == static_cast<std::uint8_t>(Kind::trouble)) return read_trouble(body);
  return std::nullopt;
}

void encode_ticket_wishes(ByteWriter& writer, const TicketWishes& wishes) noexcept {
  write_head(writer, Kind::wishes, wishes.list);
  const auto said = std::span(wishes.wishes).first(std::min(wishes.wishes.size(), wishes_max));
  writer.u16(static_cast<std::uint16_t>(said.size()));
  for (const TicketWish& wish : said) {
    for (const std::string* const text : {&wish.service, &wish.host, &wish.keytab, &wish.principal}) {
      write_text(writer, *text);
    }
  }
}

void encode_ticket_answer(ByteWriter& writer, const TicketAnswer& answer) noexcept {
  write_head(writer, Kind::ticket, answer.list);
  writer.u16(answer.wish);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(answer.expires.time_since_epoch()).count();
  write_u32(writer, static_cast<std::uint32_t>(static_cast<std::uint64_t>(seconds) >> 32));
  write_u32(writer, static_cast<std::uint32_t>(seconds));
  write_text(writer, answer.client);
  write_text(writer, answer.service);
  writer.append(answer.exported);
}

void encode_ticket_trouble(ByteWriter& writer, const TicketTrouble& trouble) noexcept {
  write_head(writer, Kind::trouble, trouble.list);
  writer.u16(trouble.wish);
  write_text(writer, trouble.why);
}

}  // namespace stile::protect
