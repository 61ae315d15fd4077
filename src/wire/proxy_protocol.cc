#include "wire/proxy_protocol.h"

#include <algorithm>
#include <expected>
#include <string_view>
#include <utility>

#include "base/number.h"

namespace stile::wire {
namespace {

using Outcome = ParseResult<ProxyHeader>;

Outcome refuse(Reason reason, std::size_t octets) {
  return Malformed{.reason = reason, .consumed = octets};
}

std::string_view as_text(ConstBytes octets) noexcept {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

// --- Version 1, section 2.1 of the specification ---------------------------------------------------------------

/// Takes the text before the next space, and the space.
std::string_view next_word(std::string_view& rest) noexcept {
  const std::size_t space = rest.find(' ');
  const std::string_view word = rest.substr(0, space);
  rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  return word;
}

/// "IPv6 addresses must be indicated as series of sets of 4 hexadecimal digits … delimited by colons", IPv4 as four
/// decimal integers: the spelling decides the family, since a mapped IPv6 address is canonically an IPv4 one.
std::optional<Address> address_of(std::string_view text, bool colons) noexcept {
  if ((text.find(':') != std::string_view::npos) != colons) return std::nullopt;
  return Address::parse(text);
}

/// What stands between "PROXY " and CR LF.
std::optional<ProxyHeader> header_of_line(std::string_view rest) {
  ProxyHeader header;
  header.version = 1;
  const auto spaces = std::ranges::count(rest, ' ');
  const std::string_view family = next_word(rest);
  if (family == "UNKNOWN") return header;  // "the receiver must ignore anything presented before the CRLF"
  if ((family != "TCP4" && family != "TCP6") || spaces != 4) return std::nullopt;
  const bool colons = family == "TCP6";
  const auto source = address_of(next_word(rest), colons);
  const auto destination = address_of(next_word(rest), colons);
  const auto source_port = plain_number<std::uint16_t>(next_word(rest));
  const auto destination_port = plain_number<std::uint16_t>(next_word(rest));
  if (!source || !destination || !source_port || !destination_port) return std::nullopt;
  header.connection = ProxiedConnection{.source = {.address = *source, .port = *source_port},
                                        .destination = {.address = *destination, .port = *destination_port}};
  return header;
}

Outcome decode_v1(ConstBytes input) {
  const ConstBytes window = input.first(std::min(input.size(), limits::proxy_header_v1_octets_max));
  const auto end = std::ranges::find_if(window, [](std::uint8_t octet) { return octet == '\r' || octet == '\n'; });
  const auto line_octets = static_cast<std::size_t>(end - window.begin());
  if (end != window.end() && *end == '\n') return refuse(Reason::proxy_syntax, line_octets + 1);
  if (line_octets + 2 > limits::proxy_header_v1_octets_max && window.size() == limits::proxy_header_v1_octets_max) {
    return refuse(Reason::proxy_syntax, window.size());
  }
  if (line_octets + 2 > window.size()) return NeedMore{};
  const std::size_t octets = line_octets + 2;
  if (window[octets - 1] != '\n') return refuse(Reason::proxy_syntax, octets);
  auto header = header_of_line(as_text(window.first(line_octets)).substr(proxy_v1_signature.size()));
  if (!header) return refuse(Reason::proxy_syntax, octets);
  return Parsed<ProxyHeader>{.value = *std::move(header), .consumed = octets};
}

// --- Version 2, section 2.2 ------------------------------------------------------------------------------------

constexpr std::size_t v2_head_octets = 16;

enum class V2Family : std::uint8_t {
  unspecified = 0x00,
  tcp4 = 0x11,
  udp4 = 0x12,
  tcp6 = 0x21,
  udp6 = 0x22,
  unix_stream = 0x31,
  unix_datagram = 0x32,
};

// E0 is the first of those that the specification leaves to applications.
enum class V2Type : std::uint8_t { alpn = 0x01, authority = 0x02, crc32c = 0x03, unique_id = 0x05, user = 0xE0 };

/// How many octets the addresses take; absent for a family that the specification does not define.
std::optional<std::size_t> address_octets(V2Family family) noexcept {
  switch (family) {
    case V2Family::unspecified:
      return 0;
    case V2Family::tcp4:
    case V2Family::udp4:
      return 12;
    case V2Family::tcp6:
    case V2Family::udp6:
      return 36;
    case V2Family::unix_stream:
    case V2Family::unix_datagram:
      return 216;
  }
  return std::nullopt;
}

/// RFC 3720 appendix B.4: the Castagnoli polynomial, reflected.
std::uint32_t crc32c(std::uint32_t crc, ConstBytes octets) noexcept {
  for (const std::uint8_t octet : octets) {
    crc ^= octet;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
  }
  return crc;
}

/// "calculated over the whole PROXY header … with the checksum field itself set to zero"
bool checksum_matches(ConstBytes header, ConstBytes field) noexcept {
  constexpr std::array<std::uint8_t, 4> zeros{};
  const auto before = static_cast<std::size_t>(field.data() - header.data());
  std::uint32_t crc = crc32c(0xFFFFFFFFU, header.first(before));
  crc = crc32c(crc, zeros);
  crc = ~crc32c(crc, header.subspan(before + field.size()));
  ByteReader reader(field);
  const std::uint32_t high = reader.u16();
  return crc == ((high << 16) | reader.u16());
}

/// False for what breaks the format. `whole` is the header from its first octet to its last.
bool read_tlvs(ConstBytes whole, ByteReader& reader, ProxyHeader& header) {
  bool checksum_seen = false;
  while (!reader.rest().empty()) {
    const auto type = static_cast<V2Type>(reader.u8());
    const ConstBytes value = reader.take(reader.u16());
    if (reader.short_of_input()) return false;
    switch (type) {
      case V2Type::alpn:
        header.alpn = as_text(value);
        break;
      case V2Type::authority:
        header.authority = as_text(value);
        break;
      case V2Type::crc32c:
        // A second field could not be zero while the first is checked.
        if (checksum_seen || value.size() != 4 || !checksum_matches(whole, value)) return false;
        checksum_seen = true;
        break;
      case V2Type::unique_id:
        if (value.size() > limits::proxy_unique_id_octets_max) return false;
        header.unique_id = as_text(value);
        break;
      case V2Type::user:
        if (value.size() > limits::credential_octets_max) return false;
        header.user = as_text(value);
        break;
      default:
        break;  // no-operation, TLS, namespace, custom: nothing here depends on them
    }
  }
  return true;
}

/// Source address, destination address, source port, destination port.
ProxiedConnection read_addresses(ByteReader& reader, bool ipv4) noexcept {
  const auto address = [&] {
    return ipv4 ? Address::v4(reader.take(4).first<4>()) : Address::v6(reader.take(16).first<16>());
  };
  ProxiedConnection connection;
  connection.source.address = address();
  connection.destination.address = address();
  connection.source.port = reader.u16();
  connection.destination.port = reader.u16();
  return connection;
}

/// A whole header behind its 16 octets of head; absent when it breaks the format.
std::optional<ProxyHeader> read_v2_body(ConstBytes whole, V2Family family) {
  ProxyHeader header;
  header.version = 2;
  if (family == V2Family::unspecified) return header;  // whatever follows is of unknown form
  ByteReader reader(whole);
  (void)reader.take(v2_head_octets);
  if (family == V2Family::tcp4 || family == V2Family::tcp6) {
    header.connection = read_addresses(reader, family == V2Family::tcp4);
  } else {
    (void)reader.take(*address_octets(family));
  }
  if (!read_tlvs(whole, reader, header)) return std::nullopt;
  return header;
}

Outcome decode_v2(ConstBytes input) {
  ByteReader reader(input);
  (void)reader.take(proxy_v2_signature.size());
  const std::uint8_t version_command = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version_command >> 4 != 2) return refuse(Reason::proxy_version, reader.consumed());
  const std::uint8_t command = version_command & 0x0F;
  if (command > 1) return refuse(Reason::proxy_syntax, reader.consumed());
  const bool local = command == 0;
  const auto family = static_cast<V2Family>(reader.u8());
  if (reader.short_of_input()) return NeedMore{};
  const auto needed = address_octets(family);
  if (!local && !needed) return refuse(Reason::proxy_syntax, reader.consumed());
  const std::size_t octets = v2_head_octets + reader.u16();
  if (reader.short_of_input()) return NeedMore{};
  const bool too_short = !local && octets < v2_head_octets + *needed;
  if (too_short || octets > limits::proxy_header_v2_octets_max) return refuse(Reason::proxy_syntax, reader.consumed());
  if (input.size() < octets) return NeedMore{};
  // "the receiver must … discard the protocol block including the family which is ignored"
  if (local) return Parsed<ProxyHeader>{.value = {.version = 2, .local = true}, .consumed = octets};
  auto header = read_v2_body(input.first(octets), family);
  if (!header) return refuse(Reason::proxy_syntax, octets);
  return Parsed<ProxyHeader>{.value = *std::move(header), .consumed = octets};
}

bool both_ipv4(const ProxiedConnection& connection) noexcept {
  return connection.source.address.is_v4() && connection.destination.address.is_v4();
}

void write_ipv6(ByteWriter& writer, const Address& address) noexcept {
  constexpr std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (address.is_v4()) writer.append(mapped);
  writer.append(address.octets());
}

std::size_t tlv_octets(const ProxyTlvs& tlvs) noexcept {
  std::size_t octets = 0;
  for (const std::string_view text : {tlvs.authority, tlvs.unique_id, tlvs.user}) {
    if (!text.empty()) octets += 3 + text.size();
  }
  return octets;
}

void write_tlv(ByteWriter& writer, V2Type type, std::string_view text) noexcept {
  if (text.empty()) return;
  writer.u8(static_cast<std::uint8_t>(type));
  writer.u16(static_cast<std::uint16_t>(text.size()));
  for (const char c : text) writer.u8(static_cast<std::uint8_t>(c));
}

}  // namespace

ParseResult<ProxyHeader> decode_proxy_header(ConstBytes input) {
  if (input.empty()) return NeedMore{};
  const bool v1 = input[0] == proxy_v1_signature[0];
  const ConstBytes signature = v1 ? ConstBytes(proxy_v1_signature) : ConstBytes(proxy_v2_signature);
  const auto same = static_cast<std::size_t>(std::ranges::mismatch(input, signature).in1 - input.begin());
  if (same < signature.size())
    return same == input.size() ? Outcome(NeedMore{}) : refuse(Reason::proxy_missing, same + 1);
  return v1 ? decode_v1(input) : decode_v2(input);
}

WireBuffer<limits::proxy_header_v1_octets_max> encode_proxy_v1(const ProxiedConnection& connection) noexcept {
  return WireBuffer<limits::proxy_header_v1_octets_max>([&](ByteWriter& writer) {
    const bool ipv4 = both_ipv4(connection);
    const auto text = [&](std::string_view part) {
      for (const char c : part) writer.u8(static_cast<std::uint8_t>(c));
    };
    const auto address = [&](const Address& value) {
      text(!ipv4 && value.is_v4() ? " ::ffff:" : " ");
      text(value.to_string());
    };
    text(ipv4 ? "PROXY TCP4" : "PROXY TCP6");
    address(connection.source.address);
    address(connection.destination.address);
    for (const std::uint16_t port : {connection.source.port, connection.destination.port}) {
      text(" ");
      text(std::to_string(port));
    }
    text("\r\n");
  });
}

WireBuffer<proxy_v2_sent_octets_max> encode_proxy_v2(const std::optional<ProxiedConnection>& connection,
                                                     const ProxyTlvs& tlvs) noexcept {
  return WireBuffer<proxy_v2_sent_octets_max>([&](ByteWriter& writer) {
    writer.append(proxy_v2_signature);
    writer.u8(connection ? 0x21 : 0x20);
    if (!connection) {
      writer.u8(static_cast<std::uint8_t>(V2Family::unspecified));
      writer.u16(0);
      return;
    }
    const bool ipv4 = both_ipv4(*connection);
    const V2Family family = ipv4 ? V2Family::tcp4 : V2Family::tcp6;
    writer.u8(static_cast<std::uint8_t>(family));
    writer.u16(static_cast<std::uint16_t>((ipv4 ? 12 : 36) + tlv_octets(tlvs)));
    for (const Endpoint* endpoint : {&connection->source, &connection->destination}) {
      if (ipv4) {
        writer.append(endpoint->address.octets());
      } else {
        write_ipv6(writer, endpoint->address);
      }
    }
    writer.u16(connection->source.port);
    writer.u16(connection->destination.port);
    write_tlv(writer, V2Type::authority, tlvs.authority);
    write_tlv(writer, V2Type::unique_id, tlvs.unique_id);
    write_tlv(writer, V2Type::user, tlvs.user);
  });
}

}  // namespace stile::wire
