#include "sys/net_probe.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"
#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

constexpr std::uint16_t discard_port = 9;  // connecting a datagram socket sends nothing, but wants a port

}  // namespace

Result<Address> source_towards(const Address& address, const InterfaceName& interface, std::uint32_t mark) noexcept {
  const SocketAddress peer(Endpoint{address, discard_port});
  const UniqueFd fd(::socket(address_family(address), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return std::unexpected(make_error(errno));
  if (!interface.empty()) {
    if (const auto set = set_interface(fd.get(), interface); !set) return std::unexpected(set.error());
  }
  if (mark != 0) {
    if (const auto set = set_mark(fd.get(), mark); !set) return std::unexpected(set.error());
  }
  if (::connect(fd.get(), &peer.generic, peer.length) != 0) return std::unexpected(make_error(errno));
  SocketAddress local;
  if (::getsockname(fd.get(), &local.generic, &local.length) != 0) return std::unexpected(make_error(errno));
  return local.endpoint().address;
}

bool has_route(const Address& address) noexcept {
  return source_towards(address).has_value();
}

bool has_interface(const InterfaceName& interface) noexcept {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto bound = fd.is_open() ? set_interface(fd.get(), interface) : std::unexpected(make_error(errno));
  return bound || bound.error().kind != ErrorKind::not_found;
}

bool may_mark() noexcept {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd.is_open() && set_mark(fd.get(), 1).has_value();
}

bool has_ipv6_address() noexcept {
  // One line an address; absent where the kernel does not speak IPv6.
  const UniqueFd fd(::open("/proc/self/net/if_inet6", O_RDONLY | O_CLOEXEC));
  char octet = 0;
  return fd.is_open() && retry([&] { return ::read(fd.get(), &octet, 1); }) == 1;
}

}  // namespace stile::sys
