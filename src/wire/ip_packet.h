// Whole IP packets that carry a datagram (RFC 791, RFC 8200 section 3, RFC 768), for who answers in the place of
// another host. No options, no extension headers, no fragments. Refuses: to read any. Threading: pure functions. Tested
// in ip_packet_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"

namespace stile::wire {

/// Of the headers: IP of version 6, and UDP.
inline constexpr std::size_t udp_packet_headers_octets_max = 40 + 8;
/// What the length fields of IPv4 leave for a payload; IPv6 leaves a little more.
inline constexpr std::size_t udp_packet_payload_octets_max = 65'535 - 20 - 8;

/// A UDP datagram from one endpoint to another of the same family (asserted), checksums included. `payload`: at most
/// udp_packet_payload_octets_max (asserted).
[[nodiscard]] std::vector<std::uint8_t> encode_udp_packet(const Endpoint& from, const Endpoint& to, ConstBytes payload);

}  // namespace stile::wire
