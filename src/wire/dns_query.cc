#include "wire/dns_query.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/assert.h"

namespace stile::wire {
namespace {

constexpr std::size_t header_octets = 12;
constexpr std::size_t label_octets_max = 63;
constexpr std::size_t name_octets_max = 255;  // RFC 1035 section 3.1, length octets and the root included
constexpr std::uint16_t name_of_question = 0xC000 | header_octets;  // a pointer, RFC 1035 section 4.1.4

constexpr std::uint16_t flag_answer = 0x8000;
constexpr std::uint16_t flag_recursion_desired = 0x0100;
constexpr std::uint16_t flag_recursion_available = 0x0080;

void append_label(std::string& name, ConstBytes label) {
  if (!name.empty()) name += '.';
  for (const std::uint8_t octet : label) {
    if (octet == '.' || octet == '\\') name += '\\';
    name += static_cast<char>(octet);
  }
}

/// False where no name begins so, whatever follows.
bool read_name(ByteReader& reader, std::string& name) {
  const std::size_t begin = reader.consumed();
  for (;;) {
    const std::uint8_t length = reader.u8();
    if (reader.short_of_input()) return true;
    if (length == 0) return true;
    if (length > label_octets_max || reader.consumed() - begin + length + 1 > name_octets_max) return false;
    append_label(name, reader.take(length));
  }
}

void write_name(ByteWriter& writer, const HostName& name) noexcept {
  std::string_view rest = name.text();
  while (!rest.empty()) {
    const std::string_view label = rest.substr(0, rest.find('.'));
    writer.u8(static_cast<std::uint8_t>(label.size()));
    writer.append({reinterpret_cast<const std::uint8_t*>(label.data()), label.size()});
    rest.remove_prefix(std::min(label.size() + 1, rest.size()));
  }
  writer.u8(0);
}

void write_record(ByteWriter& writer, const DnsRecord& record, std::uint32_t ttl_seconds) noexcept {
  const auto* const address = std::get_if<Address>(&record);
  writer.u16(name_of_question);
  writer.u16(address == nullptr ? dns_type_ptr : address->is_v4() ? dns_type_a : dns_type_aaaa);
  writer.u16(dns_class_in);
  writer.u16(static_cast<std::uint16_t>(ttl_seconds >> 16));
  writer.u16(static_cast<std::uint16_t>(ttl_seconds & 0xFFFF));
  if (address != nullptr) {
    writer.u16(static_cast<std::uint16_t>(address->octets().size()));
    writer.append(address->octets());
  } else {
    const HostName& name = std::get<HostName>(record);
    writer.u16(static_cast<std::uint16_t>(name.text().size() + 2));  // a length octet before it, and the root
    write_name(writer, name);
  }
}

}  // namespace

ParseResult<DnsQuery> decode_dns_query(ConstBytes input) {
  ByteReader reader(input);
  DnsQuery query;
  query.id = reader.u16();
  const std::uint16_t flags = reader.u16();
  const std::uint16_t questions = reader.u16();
  (void)reader.take(6);  // the other sections' counts
  if (reader.short_of_input()) return NeedMore{};
  query.is_answer = (flags & flag_answer) != 0;
  query.opcode = static_cast<std::uint8_t>((flags >> 11) & 0x0F);
  query.recursion_desired = (flags & flag_recursion_desired) != 0;
  if (query.is_answer || questions != 1) return Parsed<DnsQuery>{query, reader.consumed()};
  DnsQuestion question;
  const bool is_name = read_name(reader, question.name);
  if (!is_name) return Parsed<DnsQuery>{query, reader.consumed()};
  question.type = reader.u16();
  question.qclass = reader.u16();
  if (reader.short_of_input()) return NeedMore{};
  const ConstBytes octets = input.first(reader.consumed()).subspan(header_octets);
  question.octets.assign(octets.begin(), octets.end());
  query.question = std::move(question);
  return Parsed<DnsQuery>{std::move(query), reader.consumed()};
}

std::vector<std::uint8_t> encode_dns_answer(const DnsQuery& query, DnsStatus status, std::span<const DnsRecord> records,
                                            std::uint32_t ttl_seconds) {
  STILE_ASSERT(records.empty() || query.question.has_value());
  std::array<std::uint8_t, dns_datagram_octets_max> room;
  ByteWriter writer(room);
  writer.u16(query.id);
  writer.u16(static_cast<std::uint16_t>(flag_answer | (query.opcode << 11) |
                                        (query.recursion_desired ? flag_recursion_desired : 0) |
                                        flag_recursion_available | static_cast<std::uint8_t>(status)));
  writer.u16(query.question ? 1 : 0);
  ByteWriter counts = writer;  // the records are counted as they are written
  for (int section = 0; section < 3; ++section) writer.u16(0);
  if (query.question) writer.append(query.question->octets);
  STILE_ASSERT(!writer.overflowed());
  std::uint16_t written = 0;
  for (const DnsRecord& record : records) {
    ByteWriter attempt = writer;
    write_record(attempt, record, ttl_seconds);
    if (attempt.overflowed()) break;
    writer = attempt;
    ++written;
  }
  counts.u16(written);
  const auto message = writer.written();
  return {message.begin(), message.end()};
}

}  // namespace stile::wire
