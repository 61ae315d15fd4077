#include "wire/udp_header.h"

#include <utility>

namespace stile::wire {

// RFC 1928 section 7.
ParseResult<UdpHeader> decode_udp_header(ConstBytes datagram) {
  ByteReader reader(datagram);
  const std::uint16_t reserved = reader.u16();
  const FragmentOctet fragment{.value = reader.u8()};
  const auto type = known_address_type(reader.u8());
  if (reader.short_of_input()) return NeedMore{};
  if (!type) return Malformed{.reason = Reason::address_type_unknown, .consumed = reader.consumed()};
  auto address = read_address_field(reader, *type);
  if (!address) return NeedMore{};
  return Parsed<UdpHeader>{.value = {.reserved = reserved, .fragment = fragment, .address = *std::move(address)},
                           .consumed = reader.consumed()};
}

WireBuffer<udp_header_octets_max> encode_udp_header(const Target& address, FragmentOctet fragment) noexcept {
  return WireBuffer<udp_header_octets_max>([&](ByteWriter& writer) {
    writer.u16(0);
    writer.u8(fragment.value);
    write_address_field(writer, address);
  });
}

}  // namespace stile::wire
