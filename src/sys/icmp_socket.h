// Sockets for ICMP and ICMPv6 echo, as the kernel offers them: datagram ones, which need no privilege but the
// administrator's word (net.ipv4.ping_group_range), and raw ones, which need CAP_NET_RAW. Both report ICMP errors on
// their error queue, the reply's TTL or hop limit, and when it arrived. Threading: any. Tested in icmp_socket_test.cc
// and through tests/conformance/icmp_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// The kernel keeps the identifier and hands over nothing but replies to it. not_permitted where the system refuses.
[[nodiscard]] Result<UniqueFd> open_datagram_icmp(Family family) noexcept;
/// Hands over nothing until `admit_echo_replies` names an identifier; its error queue speaks of every ICMP packet of
/// this host. IPv4 replies come with their IP header; requests need their checksum on IPv4 only.
[[nodiscard]] Result<UniqueFd> open_raw_icmp(Family family) noexcept;
/// Which echo replies a raw socket hands over from now on; nullopt: none.
[[nodiscard]] Result<void> admit_echo_replies(int fd, Family family, std::optional<std::uint16_t> identifier) noexcept;

/// The TTL or hop limit of what is sent from now on; 1 to 255.
[[nodiscard]] Result<void> set_hops_max(int fd, Family family, std::uint8_t hops) noexcept;

enum class IcmpAccess : std::uint8_t { datagram, raw, none };
/// What this process would be given. Opens and closes a socket or two.
[[nodiscard]] IcmpAccess icmp_access(Family family) noexcept;

/// What to do where access is `none`.
inline constexpr std::string_view icmp_access_cure = "set net.ipv4.ping_group_range, or grant CAP_NET_RAW";

}  // namespace stile::sys
