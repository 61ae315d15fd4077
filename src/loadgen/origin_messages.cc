#include "loadgen/origin_messages.h"

#include <algorithm>

namespace stile::loadgen {
namespace {

constexpr std::uint8_t preamble_magic[] = {'S', 't', 'i', 'l', 'e', 'B', 'e', '1'};
constexpr std::uint8_t trailer_magic[] = {0x8E, 'S', 't', 'i', 'E', 'n', 'd', 0x1A};
constexpr std::uint8_t datagram_magic[] = {0x8E, 'S', 't', 'U'};

template <class Number>
void write(ByteWriter& writer, Number number) noexcept {
  for (int shift = static_cast<int>(sizeof number) * 8 - 8; shift >= 0; shift -= 8) {
    writer.u8(static_cast<std::uint8_t>(number >> shift));
  }
}

std::uint64_t read(ByteReader& reader, std::size_t octets) noexcept {
  std::uint64_t number = 0;
  for (const std::uint8_t octet : reader.take(octets)) number = number << 8 | octet;
  return number;
}

}  // namespace

std::array<std::uint8_t, preamble_octets> encode(const Preamble& preamble) noexcept {
  std::array<std::uint8_t, preamble_octets> octets{};
  ByteWriter writer(octets);
  writer.append(preamble_magic);
  writer.u8(static_cast<std::uint8_t>(preamble.kind));
  writer.u8(preamble.streams);
  writer.u8(static_cast<std::uint8_t>(preamble.verify));
  for (int i = 0; i < 5; ++i) writer.u8(0);
  write(writer, preamble.start);
  return octets;
}

std::array<std::uint8_t, trailer_octets> encode(const Trailer& trailer) noexcept {
  std::array<std::uint8_t, trailer_octets> octets{};
  ByteWriter writer(octets);
  writer.append(trailer_magic);
  write(writer, trailer.sent);
  write(writer, trailer.received);
  write(writer, trailer.wrong_at);
  return octets;
}

std::array<std::uint8_t, datagram_head_octets> encode(const DatagramHead& head) noexcept {
  std::array<std::uint8_t, datagram_head_octets> octets{};
  ByteWriter writer(octets);
  writer.append(datagram_magic);
  write(writer, head.slot);
  write(writer, head.serial);
  return octets;
}

std::optional<Preamble> decode_preamble(std::span<const std::uint8_t, preamble_octets> octets) noexcept {
  ByteReader reader(octets);
  if (!std::ranges::equal(reader.take(sizeof preamble_magic), preamble_magic)) return std::nullopt;
  const std::uint8_t kind = reader.u8();
  Preamble preamble{.streams = reader.u8()};
  const std::uint8_t verify = reader.u8();
  const std::uint64_t reserved = read(reader, 5);
  preamble.start = read(reader, 8);
  if (kind < 1 || kind > 2 || preamble.streams > (stream_up | stream_down) || verify > 1 || reserved != 0) {
    return std::nullopt;
  }
  preamble.kind = static_cast<Kind>(kind);
  preamble.verify = static_cast<Verify>(verify);
  return preamble;
}

std::optional<Trailer> decode_trailer(std::span<const std::uint8_t, trailer_octets> octets) noexcept {
  ByteReader reader(octets);
  if (!std::ranges::equal(reader.take(sizeof trailer_magic), trailer_magic)) return std::nullopt;
  Trailer trailer;
  trailer.sent = read(reader, 8);
  trailer.received = read(reader, 8);
  trailer.wrong_at = read(reader, 8);
  return trailer;
}

std::optional<DatagramHead> decode_datagram_head(ConstBytes octets) noexcept {
  ByteReader reader(octets);
  if (!std::ranges::equal(reader.take(sizeof datagram_magic), datagram_magic)) return std::nullopt;
  DatagramHead head;
  head.slot = static_cast<std::uint32_t>(read(reader, 4));
  head.serial = read(reader, 8);
  if (reader.short_of_input()) return std::nullopt;
  return head;
}

}  // namespace stile::loadgen
