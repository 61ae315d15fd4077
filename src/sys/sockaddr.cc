#include "sys/sockaddr.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace stile::sys {

SocketAddress::SocketAddress(const Endpoint& endpoint) noexcept {
  const ConstBytes octets = endpoint.address.octets();
  if (endpoint.address.is_v4()) {
    v4 = sockaddr_in{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, octets.data(), octets.size());
    length = sizeof(sockaddr_in);
  } else {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, octets.data(), octets.size());
  }
}

Endpoint SocketAddress::endpoint() const noexcept {
  return endpoint_of(&v6, length);
}

Endpoint endpoint_of(const void* socket_address, socklen_t length) noexcept {
  sockaddr_in6 v6{};
  std::memcpy(&v6, socket_address, std::min<std::size_t>(length, sizeof v6));
  if (v6.sin6_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in v4{};
    std::memcpy(&v4, socket_address, sizeof v4);
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), &v4.sin_addr, octets.size());
    return Endpoint{Address::v4(octets), ntohs(v4.sin_port)};
  }
  if (v6.sin6_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), &v6.sin6_addr, octets.size());
    return Endpoint{Address::v6(octets), ntohs(v6.sin6_port)};
  }
  return Endpoint{};
}

}  // namespace stile::sys
