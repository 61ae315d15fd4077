// Sockets that take what was meant for others: of a network whose every address is local, with a kernel that diverts
// connections to one of them (nftables tproxy, Linux Documentation/networking/tproxy.rst). They are opened inside that
// network and may be used from outside of it. Non-blocking. Threading: one thread a socket. Tested in
// private_network_test.cc and diverted_socket_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/bytes.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// A listener to which connections to any address may be diverted: those accepted tell it as their own address
/// (IP_TRANSPARENT; needs CAP_NET_ADMIN in the network). `reuse_port`: several may stand there, of one user's.
[[nodiscard]] Result<UniqueFd> open_diverted_listener(const Endpoint& local, bool reuse_port = false);

/// Where an accepted connection was to go that address translation (nftables redirect) has led here; not_found where
/// none has.
[[nodiscard]] Result<Endpoint> translated_from(int fd, Family family) noexcept;

/// Connections from outside bear this mark (SO_MARK), by which packet rules know them: they are for whoever listens,
/// not to be diverted.
inline constexpr std::uint32_t arriving_mark = 0x7374;

/// A stream socket of the network that is bound to another's address, in whose name it is to connect.
[[nodiscard]] Result<UniqueFd> open_arriving_stream(const Endpoint& from);

/// Begins to connect it. It is writable when that has come to something.
[[nodiscard]] Result<void> connect_stream(int fd, const Endpoint& to) noexcept;

/// A datagram socket to which datagrams may be diverted, and which tells where each was sent to, and how far.
[[nodiscard]] Result<UniqueFd> open_addressed_datagrams(const Endpoint& local);

/// The same for what is sent to `local` itself, which may stand for all addresses of this host: no privilege is needed.
/// Port 0 lets the kernel choose one.
struct OwnDatagrams {
  UniqueFd fd;
  Endpoint local;
};
[[nodiscard]] Result<OwnDatagrams> open_own_datagrams(const Endpoint& local);

struct AddressedDatagram {
  Endpoint from;
  Endpoint called;
  std::size_t octets = 0;
  std::uint8_t hops = 0;  // its TTL or hop limit; 0: unknown
};

/// The next datagram, cut to `room`; would_block where none waits.
[[nodiscard]] Result<AddressedDatagram> receive_addressed(int fd, MutableBytes room) noexcept;

/// To `to`, from the address that it called; the port is the socket's.
[[nodiscard]] Result<void> answer_addressed(int fd, const Address& called, const Endpoint& to,
                                            ConstBytes octets) noexcept;

/// A socket that hears every echo request that is sent to any address (raw(7); needs CAP_NET_RAW). From now on the
/// kernel answers none of the family in this network, and anybody there may ask by datagram sockets (icmp(7)), as far
/// as it lets that be set.
[[nodiscard]] Result<UniqueFd> open_echo_requests(Family family);

/// The same of a host with a network of its own, whose own answers to echo requests stay: it hears those alone that
/// packet rules gave this mark.
[[nodiscard]] Result<UniqueFd> open_marked_echo_requests(Family family, std::uint32_t mark);

/// The next one: `octets` of ICMP, from its type on, are in `room`. would_block where none waits.
[[nodiscard]] Result<AddressedDatagram> receive_echo_request(int fd, Family family, MutableBytes room) noexcept;

/// A socket that sends whole packets, in the name of any address (raw(7); needs CAP_NET_RAW in the network).
[[nodiscard]] Result<UniqueFd> open_packet_source(Family family);

/// would_block where there is no room.
[[nodiscard]] Result<void> send_packet(int fd, const Address& to, ConstBytes packet) noexcept;

}  // namespace stile::sys
