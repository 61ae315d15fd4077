// Whole IP packets that carry a datagram (RFC 791, RFC 8200 section 3, RFC 768), an echo or an error (RFC 792, RFC
// 4443), for who answers in the place of another host. No options, no extension headers but that of fragments. Refuses:
// to read the headers of IP, which the kernel takes off. Threading: pure functions. Tested in ip_packet_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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

/// An ICMP echo, of either version. The identifier tells the processes that ask apart.
struct Echo {
  std::uint16_t identifier = 0;
  std::uint16_t sequence = 0;
  ConstBytes payload;
};

/// An ICMP message, which begins with its type; nothing where it is no echo request. The checksum is not looked at.
[[nodiscard]] std::optional<Echo> decode_echo_request(Family family, ConstBytes message) noexcept;

/// The reply, checksums included. `payload`: at most udp_packet_payload_octets_max (asserted); addresses of one family.
[[nodiscard]] std::vector<std::uint8_t> encode_echo_reply(const Address& from, const Address& to, const Echo& echo);

/// The request itself, for who quotes it. Bounds as of the reply.
[[nodiscard]] std::vector<std::uint8_t> encode_echo_request(const Address& from, const Address& to, const Echo& echo);

/// Why a packet is not delivered, as a router on its way or its receiver says (RFC 792, RFC 1812 section 5.2.7, RFC
/// 4443 section 3).
enum class Undelivered : std::uint8_t { hops_exceeded, network, host, protocol, port, prohibited };

/// Of the packet that an error is about, as much is quoted.
inline constexpr std::size_t quoted_octets_max = 512;

/// An ICMP error about the packet `about`, checksums included; addresses of one family (asserted).
[[nodiscard]] std::vector<std::uint8_t> encode_icmp_error(const Address& from, const Address& to, Undelivered why,
                                                          ConstBytes about);

/// The same packet in pieces of at most `octets_max` (68 at least, asserted), each a packet (RFC 791 section 2.3, RFC
/// 8200 section 4.5). `packet`: made by the functions above. `identification`: another one for each packet between the
/// same two hosts; of IPv4 its lower half counts.
[[nodiscard]] std::vector<std::vector<std::uint8_t>> fragments_of(ConstBytes packet, std::size_t octets_max,
                                                                  std::uint32_t identification);

}  // namespace stile::wire
