#include "client/handles.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "sys/sockaddr.h"

namespace stile::client {

std::optional<Failure> unusable(const Client* client) {
  if (client == nullptr) return state_failure("there is no client");
  if (client->forked()) return state_failure("the client belongs to the process that forked this one");
  return std::nullopt;
}

std::expected<Host, Failure> host_of(const char* text) {
  if (text == nullptr) return std::unexpected(argument_failure("there is no host"));
  auto host = canonical_host(text);
  if (host) return *std::move(host);
  return std::unexpected(argument_failure("no host may be called so: " + std::string(name(host.error().rejection))));
}

std::expected<Target, Failure> target_of(const char* host, std::uint16_t port, bool any_port) {
  auto found = host_of(host);
  if (!found) return std::unexpected(std::move(found.error()));
  if (port == 0 && !any_port) return std::unexpected(argument_failure("a port is a number from 1 to 65535"));
  return Target{.host = *std::move(found), .port = port};
}

void put(const std::optional<Endpoint>& endpoint, sockaddr* address, socklen_t* length) noexcept {
  if (address == nullptr || length == nullptr) return;
  sys::SocketAddress found;
  if (endpoint) found = sys::SocketAddress(*endpoint);
  const socklen_t octets = endpoint ? found.length : static_cast<socklen_t>(sizeof(sa_family_t));
  const sa_family_t none = AF_UNSPEC;
  const void* const from = endpoint ? static_cast<const void*>(&found.generic) : &none;
  std::memcpy(address, from, std::min(octets, *length));
  *length = octets;
}

}  // namespace stile::client
