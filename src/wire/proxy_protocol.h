// The PROXY protocol (HAProxy's specification, "The PROXY protocol, Versions 1 & 2"): decoder and encoders.
//
//   version 1  "PROXY TCP4|TCP6 SRC DST SPORT DPORT" CR LF, or "PROXY UNKNOWN" anything CR LF; at most 107 octets
//   version 2  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A | VER/CMD 1 | FAM/PROTO 1 | LEN 2 | addresses | TLVs
//              at most 4,096 octets; a TLV is TYPE 1 | LEN 2 | VALUE
//
// A receiver is told out of band whether a header comes; this decoder is only asked where one must.
// Refuses: to judge addresses; what is no TCP connection (LOCAL, UNKNOWN, UDP, Unix sockets) is Parsed without any.
// Threading: values and pure functions. Tested in proxy_protocol_test.cc against tests/vectors/proxy.txt and a naive
// oracle; fuzzed in proxy_protocol_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "wire/parse.h"
#include "wire/wire_buffer.h"

namespace stile::wire {

inline constexpr std::array<std::uint8_t, 6> proxy_v1_signature = {'P', 'R', 'O', 'X', 'Y', ' '};
inline constexpr std::array<std::uint8_t, 12> proxy_v2_signature = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                                                    0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};

struct ProxiedConnection {
  Endpoint source;       // the client, as the sender sees it
  Endpoint destination;  // where the client connected to

  friend bool operator==(const ProxiedConnection&, const ProxiedConnection&) = default;
};

struct ProxyHeader {
  std::uint8_t version = 0;                     // 1 or 2
  bool local = false;                           // version 2, LOCAL: a health check of the sender's own
  std::optional<ProxiedConnection> connection;  // absent: the socket's own addresses hold
  std::string authority;                        // TLV 02, the name a client asked TLS for; any octets
  std::string alpn;                             // TLV 01; any octets
  std::string unique_id;                        // TLV 05, at most 128 octets; any octets
  std::string user;                             // TLV E0, Stile's own: who the client is to the sender; at most 255 octets

  friend bool operator==(const ProxyHeader&, const ProxyHeader&) = default;
};

/// Malformed: proxy_missing at the first octet that is in neither signature; proxy_version after 13 octets;
/// proxy_syntax for everything else, a CRC32C that does not match included. Octets behind the header are the client's.
[[nodiscard]] ParseResult<ProxyHeader> decode_proxy_header(ConstBytes input);

/// Of mixed families the IPv4 address is written as an IPv4-mapped one, under TCP6.
[[nodiscard]] WireBuffer<limits::proxy_header_v1_octets_max> encode_proxy_v1(
    const ProxiedConnection& connection) noexcept;

/// What a version 2 header tells of a connection besides its addresses. An empty text is left out.
struct ProxyTlvs {
  std::string_view authority;  // at most 255 octets
  std::string_view unique_id;  // at most 128
  std::string_view user;       // at most 255
};

inline constexpr std::size_t proxy_v2_sent_octets_max = 16 + 36 + 3 * 3 + 255 + 128 + 255;
/// Families as in version 1; texts within their bounds (asserted). Without a connection: LOCAL, for the sender's own
/// health checks, and no texts.
[[nodiscard]] WireBuffer<proxy_v2_sent_octets_max> encode_proxy_v2(const std::optional<ProxiedConnection>& connection,
                                                                   const ProxyTlvs& tlvs = {}) noexcept;

}  // namespace stile::wire
