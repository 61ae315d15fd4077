// The header in front of every datagram of UDP ASSOCIATE, RFC 1928 section 7: decoder and encoder, for both ends.
//
//   both  RSV 0000 | FRAG 1 | ATYP | DST.ADDR | DST.PORT | DATA, up to the datagram's end
//
// A datagram is whole or it is nothing: NeedMore means that it is cut short and to be dropped.
// Refuses: policy, and reassembly (fragments.h). Port 0, 0.0.0.0 and impossible names are values here.
// Threading: values and pure functions. Tested in udp_header_test.cc against tests/vectors/udp.txt and a naive oracle;
// fuzzed in udp_header_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/bytes.h"
#include "wire/address_field.h"
#include "wire/parse.h"
#include "wire/wire_buffer.h"

namespace stile::wire {

/// FRAG as sent: 00 stands alone, else the low seven bits are a position and the high bit marks the last.
struct FragmentOctet {
  std::uint8_t value = 0;

  [[nodiscard]] constexpr bool stands_alone() const noexcept { return value == 0; }
  [[nodiscard]] constexpr std::uint8_t position() const noexcept { return value & 0x7F; }
  [[nodiscard]] constexpr bool is_last() const noexcept { return (value & 0x80) != 0; }

  friend bool operator==(const FragmentOctet&, const FragmentOctet&) = default;
};

struct UdpHeader {
  std::uint16_t reserved = 0;  // RSV as sent: to be ignored and counted
  FragmentOctet fragment;
  AddressField address;  // where to, from a client; where from, to a client

  friend bool operator==(const UdpHeader&, const UdpHeader&) = default;
};

inline constexpr std::size_t udp_header_octets_max = 3 + address_field_octets_max;
/// Of the headers that a relay writes: an answer comes from an address, never from a name.
inline constexpr std::size_t udp_answer_header_octets_max = 3 + 1 + 16 + 2;

/// `consumed` is where DATA begins. Malformed: address_type_unknown after 4 octets.
[[nodiscard]] ParseResult<UdpHeader> decode_udp_header(ConstBytes datagram);

/// RSV is 0000.
[[nodiscard]] WireBuffer<udp_header_octets_max> encode_udp_header(const Target& address,
                                                                  FragmentOctet fragment = {}) noexcept;

}  // namespace stile::wire
