#include "wire/ip_packet.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"

namespace stile::wire {
namespace {

constexpr std::uint8_t protocol_icmp = 1;
constexpr std::uint8_t protocol_udp = 17;
constexpr std::uint8_t protocol_icmp_v6 = 58;
constexpr std::uint8_t echo_request = 8;
constexpr std::uint8_t echo_reply = 0;
constexpr std::uint8_t echo_request_v6 = 128;
constexpr std::uint8_t echo_reply_v6 = 129;
constexpr std::uint8_t hops = 64;  // TTL, hop limit
constexpr std::size_t v4_header_octets = 20;
constexpr std::size_t v6_header_octets = 40;
constexpr std::size_t udp_header_octets = 8;
constexpr std::size_t icmp_header_octets = 8;
constexpr std::size_t v6_fragment_octets = 8;
constexpr std::size_t fragment_octets_min = 68;  // what every host forwards (RFC 791)
constexpr std::uint8_t protocol_fragment_v6 = 44;

/// RFC 1071: the ones' complement of the ones' complement sum of 16-bit words.
class Checksum {
 public:
  /// All but the last piece have an even length.
  void add(ConstBytes octets) noexcept {
    for (std::size_t i = 0; i < octets.size(); ++i) {
      sum_ += i % 2 == 0 ? std::uint32_t{octets[i]} << 8 : std::uint32_t{octets[i]};
    }
  }
  void add(std::uint16_t word) noexcept { sum_ += word; }
  [[nodiscard]] std::uint16_t value() const noexcept {
    std::uint64_t folded = sum_;
    while ((folded >> 16) != 0) folded = (folded & 0xFFFF) + (folded >> 16);
    return static_cast<std::uint16_t>(~folded & 0xFFFF);
  }

 private:
  std::uint64_t sum_ = 0;
};

void put_u16(MutableBytes at, std::uint16_t value) noexcept {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value & 0xFF);
}

void write_v4_header(ByteWriter& writer, const Address& from, const Address& to, std::uint8_t protocol,
                     std::size_t total) noexcept {
  writer.u8(0x45);  // version, header length in words
  writer.u8(0);
  writer.u16(static_cast<std::uint16_t>(total));
  writer.u16(0);       // identification: nothing is fragmented,
  writer.u16(0x4000);  // nor may be
  writer.u8(hops);
  writer.u8(protocol);
  writer.u16(0);  // the checksum's place
  writer.append(from.octets());
  writer.append(to.octets());
  Checksum checksum;
  checksum.add(writer.written());
  put_u16(writer.written().subspan(10), checksum.value());
}

void write_v6_header(ByteWriter& writer, const Address& from, const Address& to, std::uint8_t protocol,
                     std::size_t length) noexcept {
  writer.u16(0x6000);  // version, traffic class, flow label
  writer.u16(0);
  writer.u16(static_cast<std::uint16_t>(length));
  writer.u8(protocol);
  writer.u8(hops);
  writer.append(from.octets());
  writer.append(to.octets());
}

/// The IP header of a packet of `length` octets behind it. How long it is.
std::size_t write_header(ByteWriter& writer, const Address& from, const Address& to, std::uint8_t protocol,
                         std::size_t length) noexcept {
  if (from.is_v4()) {
    write_v4_header(writer, from, to, protocol, v4_header_octets + length);
  } else {
    write_v6_header(writer, from, to, protocol, length);
  }
  return writer.written().size();
}

std::vector<std::uint8_t> room_for(const Address& from, const Address& to, std::size_t length) {
  STILE_ASSERT(from.family() == to.family());
  return std::vector<std::uint8_t>((from.is_v4() ? v4_header_octets : v6_header_octets) + length);
}

/// Of what UDP and ICMPv6 have in front of their own octets in thought (RFC 768, RFC 8200 section 8.1).
void add_pseudo_header(Checksum& checksum, const Address& from, const Address& to, std::uint8_t protocol,
                       std::size_t length) noexcept {
  checksum.add(from.octets());
  checksum.add(to.octets());
  checksum.add(std::uint16_t{protocol});
  checksum.add(static_cast<std::uint16_t>(length));
}

/// Type and code.
using Error = std::pair<std::uint8_t, std::uint8_t>;

// In the order of Undelivered.
constexpr std::array<Error, 6> errors_v4{{{11, 0}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 13}}};
constexpr std::array<Error, 6> errors_v6{{{3, 0}, {1, 0}, {1, 3}, {4, 1}, {1, 4}, {1, 1}}};

/// `words`: the two behind the checksum.
std::vector<std::uint8_t> encode_message(const Address& from, const Address& to, std::uint8_t type, std::uint8_t code,
                                         const std::array<std::uint16_t, 2>& words, ConstBytes payload) {
  const std::size_t length = icmp_header_octets + payload.size();
  const std::uint8_t protocol = from.is_v4() ? protocol_icmp : protocol_icmp_v6;
  std::vector<std::uint8_t> packet = room_for(from, to, length);
  ByteWriter writer(packet);
  const std::size_t header = write_header(writer, from, to, protocol, length);
  writer.u8(type);
  writer.u8(code);
  writer.u16(0);  // the checksum's place
  writer.u16(words[0]);
  writer.u16(words[1]);
  writer.append(payload);
  STILE_ASSERT(!writer.overflowed());
  Checksum checksum;
  if (!from.is_v4()) add_pseudo_header(checksum, from, to, protocol, length);
  checksum.add(ConstBytes(packet).subspan(header));
  put_u16(MutableBytes(packet).subspan(header + 2), checksum.value());
  return packet;
}

std::vector<std::uint8_t> encode_echo(const Address& from, const Address& to, std::uint8_t type, const Echo& echo) {
  STILE_ASSERT(echo.payload.size() <= udp_packet_payload_octets_max);
  return encode_message(from, to, type, 0, {echo.identifier, echo.sequence}, echo.payload);
}

/// Writes over what the header of the whole packet says: RFC 791 section 3.1.
void mark_v4_fragment(MutableBytes fragment, std::size_t offset, bool more, std::uint32_t identification) noexcept {
  put_u16(fragment.subspan(2), static_cast<std::uint16_t>(fragment.size()));
  put_u16(fragment.subspan(4), static_cast<std::uint16_t>(identification));
  put_u16(fragment.subspan(6), static_cast<std::uint16_t>(offset / 8 | (more ? 0x2000U : 0U)));
  put_u16(fragment.subspan(10), 0);
  Checksum checksum;
  checksum.add(fragment.first(v4_header_octets));
  put_u16(fragment.subspan(10), checksum.value());
}

/// And writes the header of a fragment behind that of the packet: RFC 8200 section 4.5.
void mark_v6_fragment(MutableBytes fragment, std::size_t offset, bool more, std::uint32_t identification) noexcept {
  put_u16(fragment.subspan(4), static_cast<std::uint16_t>(fragment.size() - v6_header_octets));
  const MutableBytes own = fragment.subspan(v6_header_octets);
  own[0] = std::exchange(fragment[6], protocol_fragment_v6);
  own[1] = 0;
  put_u16(own.subspan(2), static_cast<std::uint16_t>(offset | (more ? 1U : 0U)));
  put_u16(own.subspan(4), static_cast<std::uint16_t>(identification >> 16));
  put_u16(own.subspan(6), static_cast<std::uint16_t>(identification));
}

}  // namespace

std::vector<std::uint8_t> encode_udp_packet(const Endpoint& from, const Endpoint& to, ConstBytes payload) {
  STILE_ASSERT(payload.size() <= udp_packet_payload_octets_max);
  const std::size_t length = udp_header_octets + payload.size();
  std::vector<std::uint8_t> packet = room_for(from.address, to.address, length);
  ByteWriter writer(packet);
  const std::size_t header = write_header(writer, from.address, to.address, protocol_udp, length);
  writer.u16(from.port);
  writer.u16(to.port);
  writer.u16(static_cast<std::uint16_t>(length));
  writer.u16(0);  // the checksum's place
  writer.append(payload);
  STILE_ASSERT(!writer.overflowed());
  Checksum checksum;
  add_pseudo_header(checksum, from.address, to.address, protocol_udp, length);
  checksum.add(ConstBytes(packet).subspan(header));
  const std::uint16_t value = checksum.value();
  // None at all is written as zero (RFC 768), so that a sum of zero is written as its other form.
  put_u16(MutableBytes(packet).subspan(header + 6), value == 0 ? 0xFFFF : value);
  return packet;
}

std::optional<Echo> decode_echo_request(Family family, ConstBytes message) noexcept {
  ByteReader reader(message);
  const std::uint8_t type = reader.u8();
  const std::uint8_t code = reader.u8();
  (void)reader.u16();  // checksum
  Echo echo;
  echo.identifier = reader.u16();
  echo.sequence = reader.u16();
  const bool asks = type == (family == Family::ipv4 ? echo_request : echo_request_v6) && code == 0;
  if (reader.short_of_input() || !asks) return std::nullopt;
  echo.payload = reader.rest();
  return echo;
}

std::vector<std::uint8_t> encode_echo_reply(const Address& from, const Address& to, const Echo& echo) {
  return encode_echo(from, to, from.is_v4() ? echo_reply : echo_reply_v6, echo);
}

std::vector<std::uint8_t> encode_echo_request(const Address& from, const Address& to, const Echo& echo) {
  return encode_echo(from, to, from.is_v4() ? echo_request : echo_request_v6, echo);
}

std::vector<std::uint8_t> encode_icmp_error(const Address& from, const Address& to, Undelivered why, ConstBytes about) {
  const auto& [type, code] = (from.is_v4() ? errors_v4 : errors_v6)[static_cast<std::size_t>(why)];
  // What stands in the place of identifier and sequence is unused.
  return encode_message(from, to, type, code, {0, 0}, about.first(std::min(about.size(), quoted_octets_max)));
}

std::vector<std::vector<std::uint8_t>> fragments_of(ConstBytes packet, std::size_t octets_max,
                                                    std::uint32_t identification) {
  STILE_ASSERT(octets_max >= fragment_octets_min && packet.size() > v4_header_octets);
  const bool v4 = packet[0] >> 4 == 4;
  const ConstBytes header = packet.first(v4 ? v4_header_octets : v6_header_octets);
  const ConstBytes whole = packet.subspan(header.size());
  const std::size_t extra = v4 ? 0 : v6_fragment_octets;
  const std::size_t most = (octets_max - header.size() - extra) / 8 * 8;  // offsets count eights
  std::vector<std::vector<std::uint8_t>> fragments;
  for (std::size_t at = 0; at < whole.size(); at += most) {
    const ConstBytes piece = whole.subspan(at, std::min(most, whole.size() - at));
    const bool more = at + piece.size() < whole.size();
    std::vector<std::uint8_t>& fragment = fragments.emplace_back(header.size() + extra + piece.size());
    std::ranges::copy(header, fragment.begin());
    std::ranges::copy(piece, fragment.end() - static_cast<std::ptrdiff_t>(piece.size()));
    v4 ? mark_v4_fragment(fragment, at, more, identification) : mark_v6_fragment(fragment, at, more, identification);
  }
  return fragments;
}

}  // namespace stile::wire
