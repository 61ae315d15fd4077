// A program's sockets, as far as they are this library's affair. Everything that is known of one the kernel knows: no
// table is kept, so that duplicates, children, and programs that close all they have need no care. Addresses are copied
// before they are looked at, and the copy is what is used (threat TW3). Allocates nothing, holds no lock: any thread, a
// signal handler. Tested by tests/e2e/preload_test.py.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "base/address.h"
#include "sys/sockaddr.h"

namespace stile::preload::inside {

/// other: Unix-domain, netlink and the like. unfit: of the Internet, and nothing that a proxy carries.
enum class Carried : std::uint8_t { other, stream, datagram, unfit };

struct SocketKind {
  Carried carried = Carried::other;
  int family = AF_UNSPEC;
};
[[nodiscard]] SocketKind kind_of(int fd) noexcept;

/// A copy of what a program passed.
struct Called {
  sockaddr_storage copy{};
  socklen_t length = 0;
  Endpoint endpoint;

  [[nodiscard]] const sockaddr* generic() const noexcept { return reinterpret_cast<const sockaddr*>(&copy); }
  [[nodiscard]] int family() const noexcept { return copy.ss_family; }
  [[nodiscard]] bool is_internet() const noexcept { return family() == AF_INET || family() == AF_INET6; }
};
/// False where the kernel would not take it for its length.
[[nodiscard]] bool copy_called(const sockaddr* address, socklen_t length, Called& called) noexcept;

/// Of the socket, where the address is of the Internet: for an IPv4 socket it is, too, where it does not say so.
[[nodiscard]] SocketKind kind_for(int fd, Called& called) noexcept;

/// It stays within this host, and is no question to DNS.
[[nodiscard]] bool stays_here(const Endpoint& called) noexcept;
/// To many at once, which no proxy carries.
[[nodiscard]] bool is_for_many(const Address& called) noexcept;

/// An endpoint as a socket of this family takes it: IPv4 is mapped for IPv6.
struct Given {
  sys::SocketAddress address;
  [[nodiscard]] const sockaddr* generic() const noexcept { return &address.generic; }
  [[nodiscard]] socklen_t length() const noexcept { return address.length; }
};
[[nodiscard]] Given give(const Endpoint& endpoint, int family) noexcept;

/// Where the socket is bound, or was last; a loopback address, where it is one of all addresses. False: nowhere.
[[nodiscard]] bool local_of(int fd, Endpoint& local) noexcept;
/// The same, once it is bound to a port of the kernel's choice, where it is not bound. False, with errno: it cannot be.
[[nodiscard]] bool bind_within(int fd, const SocketKind& kind, Endpoint& local) noexcept;

/// The loopback address in whose place a program's bind to `asked` comes.
[[nodiscard]] Endpoint within(int fd, const SocketKind& kind, const Endpoint& asked) noexcept;

/// Of whom the datagrams are that come from `from`, a loopback address; himself where it is no place of the carrier's.
[[nodiscard]] Endpoint sender_behind(int fd, const Endpoint& from) noexcept;
/// Where to send what is for `called`. An errno where that cannot be.
[[nodiscard]] int door_to(int fd, const SocketKind& kind, const Endpoint& called, Endpoint& door) noexcept;

/// In the place of an address that the kernel has written: `room` octets are the program's.
void write_address(const Endpoint& endpoint, int family, sockaddr* into, socklen_t room, socklen_t* length) noexcept;

}  // namespace stile::preload::inside
