// Endpoint to and from the kernel's socket addresses. Pure; any thread. Tested in sockaddr_test.cc.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/address.h"

namespace stile::sys {

/// Room for the socket address of either family, to pass to the kernel or to be filled by it.
struct SocketAddress {
  SocketAddress() noexcept = default;
  explicit SocketAddress(const Endpoint& endpoint) noexcept;

  union {
    sockaddr generic;
    sockaddr_in v4;
    sockaddr_in6 v6{};
  };
  socklen_t length = sizeof(sockaddr_in6);

  /// The unspecified endpoint (0.0.0.0:0) for a family that is neither IPv4 nor IPv6. An IPv4-mapped IPv6 address
  /// becomes IPv4; a scope is dropped.
  [[nodiscard]] Endpoint endpoint() const noexcept;
};

[[nodiscard]] constexpr int address_family(const Address& address) noexcept {
  return address.is_v4() ? AF_INET : AF_INET6;
}

/// The address inside any socket address of the given size; unspecified where it is none of ours.
[[nodiscard]] Endpoint endpoint_of(const void* socket_address, socklen_t length) noexcept;

}  // namespace stile::sys
