#include "wire/ip_packet.h"

#include "base/assert.h"

namespace stile::wire {
namespace {

constexpr std::uint8_t protocol_udp = 17;
constexpr std::uint8_t hops = 64;  // TTL, hop limit
constexpr std::size_t v4_header_octets = 20;
constexpr std::size_t v6_header_octets = 40;
constexpr std::size_t udp_header_octets = 8;

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

void put_checksum(MutableBytes at, std::uint16_t value) noexcept {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value & 0xFF);
}

void write_v4_header(ByteWriter& writer, const Address& from, const Address& to, std::size_t total) noexcept {
  writer.u8(0x45);  // version, header length in words
  writer.u8(0);
  writer.u16(static_cast<std::uint16_t>(total));
  writer.u16(0);       // identification: nothing is fragmented,
  writer.u16(0x4000);  // nor may be
  writer.u8(hops);
  writer.u8(protocol_udp);
  writer.u16(0);  // the checksum's place
  writer.append(from.octets());
  writer.append(to.octets());
  Checksum checksum;
  checksum.add(writer.written());
  put_checksum(writer.written().subspan(10), checksum.value());
}

void write_v6_header(ByteWriter& writer, const Address& from, const Address& to, std::size_t length) noexcept {
  writer.u16(0x6000);  // version, traffic class, flow label
  writer.u16(0);
  writer.u16(static_cast<std::uint16_t>(length));
  writer.u8(protocol_udp);
  writer.u8(hops);
  writer.append(from.octets());
  writer.append(to.octets());
}

}  // namespace

std::vector<std::uint8_t> encode_udp_packet(const Endpoint& from, const Endpoint& to, ConstBytes payload) {
  STILE_ASSERT(from.address.family() == to.address.family() && payload.size() <= udp_packet_payload_octets_max);
  const bool v4 = from.address.is_v4();
  const std::size_t length = udp_header_octets + payload.size();
  const std::size_t header = v4 ? v4_header_octets : v6_header_octets;
  std::vector<std::uint8_t> packet(header + length);
  ByteWriter writer(packet);
  v4 ? write_v4_header(writer, from.address, to.address, header + length)
     : write_v6_header(writer, from.address, to.address, length);
  writer.u16(from.port);
  writer.u16(to.port);
  writer.u16(static_cast<std::uint16_t>(length));
  writer.u16(0);  // the checksum's place
  writer.append(payload);
  STILE_ASSERT(!writer.overflowed());
  Checksum checksum;  // over a pseudo header as well
  checksum.add(from.address.octets());
  checksum.add(to.address.octets());
  checksum.add(std::uint16_t{protocol_udp});
  checksum.add(static_cast<std::uint16_t>(length));
  checksum.add(ConstBytes(packet).subspan(header));
  const std::uint16_t value = checksum.value();
  // None at all is written as zero (RFC 768), so that a sum of zero is written as its other form.
  put_checksum(MutableBytes(packet).subspan(header + 6), value == 0 ? 0xFFFF : value);
  return packet;
}

}  // namespace stile::wire
