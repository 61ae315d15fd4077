// Socket options of this product, each with its reason. On a bare descriptor; any thread. Tested in
// socket_options_test.cc.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/error.h"
#include "base/interface_name.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// For every TCP socket. Set on a listener, accepted sockets inherit all of them from it (Linux clones the listener's
/// socket), which saves six system calls a connection.
[[nodiscard]] Result<void> set_stream_options(int fd) noexcept;

/// Those of them that a connection needs from its first octet on, before it is dialled; `set_keepalive` is the rest.
[[nodiscard]] Result<void> set_early_stream_options(int fd) noexcept;

/// A peer that vanished without FIN or RST is noticed. Four system calls that a connection of a few seconds can do
/// without.
[[nodiscard]] Result<void> set_keepalive(int fd) noexcept;

/// For every IPv6 socket: IPv4 has sockets of its own, so that no IPv4 peer ever appears in another form.
[[nodiscard]] Result<void> set_v6_only(int fd) noexcept;

/// Restarting must not wait for the last process's connections in TIME-WAIT. Two listeners still exclude each other.
[[nodiscard]] Result<void> set_reuse_address(int fd) noexcept;

/// Several workers of one process listen on one endpoint; only for those.
[[nodiscard]] Result<void> set_reuse_port(int fd) noexcept;

/// It may be bound to an address that no interface bears, of a prefix that is routed to this host, say.
[[nodiscard]] Result<void> set_free_bind(int fd, Family family) noexcept;

/// Binding to an address and port 0 chooses no port yet: connecting does, and needs it to be free for that one peer
/// only.
[[nodiscard]] Result<void> set_late_port(int fd) noexcept;

/// What it sends leaves by this interface, and what it receives has come by it; no privilege is needed for that as long
/// as it is not bound to another one (Linux 5.7). not_found: there is none of that name.
[[nodiscard]] Result<void> set_interface(int fd, const InterfaceName& interface) noexcept;

/// For the system's routing. not_permitted without CAP_NET_RAW (Linux 5.17) and CAP_NET_ADMIN.
[[nodiscard]] Result<void> set_mark(int fd, std::uint32_t mark) noexcept;

/// RFC 7413, of a client: connecting sends nothing where a cookie of the peer's is known; what is sent first goes with
/// the SYN.
[[nodiscard]] Result<void> set_fast_open_connect(int fd) noexcept;

/// RFC 7413, of a listener: so many connections with data may wait for the end of their handshakes.
[[nodiscard]] Result<void> set_fast_open_listen(int fd, int connections_max) noexcept;

/// On while dialling: ICMP errors are kept with type and code, which tells them from local refusals (protocol
/// reference, section 2.5). Off once connected: with it on, one transient or forged ICMP message would fail an
/// established connection, which RFC 1122 section 4.2.3.9 wants kept.
[[nodiscard]] Result<void> set_icmp_reports(int fd, Family family, bool on) noexcept;

/// For every datagram socket: room for bursts (limits::udp_socket_octets), and word of what it lost (SO_RXQ_OVFL).
[[nodiscard]] Result<void> set_datagram_options(int fd) noexcept;

/// From now on a read may give several datagrams of one sender at once, with UDP_GRO beside them.
[[nodiscard]] Result<void> set_trains(int fd) noexcept;

/// The next close of `fd` sends RST and discards what is not sent yet.
[[nodiscard]] Result<void> set_reset_on_close(int fd) noexcept;

/// Another descriptor of the same socket.
[[nodiscard]] Result<UniqueFd> duplicate(const UniqueFd& descriptor) noexcept;

}  // namespace stile::sys
