// Why a relay drops a datagram of an association: one enumerator a cause, with the token that records and logs print.
// A drop never ends the association (protocol reference, 3.3). Pure. Tested in udp_drop_test.cc.
#pragma once

#include <cstdint>
#include <string_view>

namespace stile {

enum class UdpDrop : std::uint8_t {
  source,            // from another address than the client's
  port,              // from the client's address, but not from the pinned port
  header,            // cut short, an unknown address type, a name no host can bear, port 0
  fragment,          // RFC 1928 section 7; also counts each sequence that was abandoned
  denied,            // by policy, or a socket of our own
  name,              // the name has no address
  send,              // the system does not send it: no route, forbidden, no such family
  reply,             // from a sender that the client has not sent to
  too_big,           // exceeds one datagram, with the header that belongs in front
  token,             // not the GSSAPI context's, or had before
  limit,             // a queue or a ceiling is full
  rate,              // beyond the rate of the target's rule
  quota,             // nothing is left of its quota
  upstream,          // the way through other proxies could not be opened, or broke
  upstream_command,  // one of them carries no datagrams: by its protocol, or as it says
  // By the network, which says so by ICMP.
  icmp_port,        // nobody listens there
  icmp_host,        // unreachable
  icmp_network,     // unreachable
  icmp_prohibited,  // by a filter, or by administration
  icmp_expired,     // hops, or the time for reassembly
  icmp_too_big,     // for a network on the way
  icmp_other,
};

inline constexpr int udp_drop_count = static_cast<int>(UdpDrop::icmp_other) + 1;

/// "udp.src", "udp.port", …
[[nodiscard]] std::string_view token(UdpDrop drop) noexcept;

}  // namespace stile
