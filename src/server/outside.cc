#include "server/outside.h"

#include "base/loopback.h"
#include "policy/classes.h"
#include "wire/proxy_protocol.h"

namespace stile::server {

std::optional<Address> advertised_for(const config::Outside& outside, const Address& own) {
  if (is_loopback(own)) return std::nullopt;
  return outside.advertised(own.family());
}

Address told_by_connect(const config::Outside& outside, const Address& own, const Address& reached,
                        const Address& client) {
  const auto is_public = [](const Address& address) {
    return policy::class_prefix_of(address).target_class == policy::TargetClass::public_space;
  };
  if (is_public(own)) return own;
  if (const auto advertised = outside.advertised(own.family())) return *advertised;
  if (!is_public(client)) return own;
  return is_public(reached) ? reached : Address::v4(0, 0, 0, 0);
}

std::uint32_t proxy_version_for(const std::vector<config::ProxyProtocolTo>& tables, const Endpoint& target) noexcept {
  for (const config::ProxyProtocolTo& table : tables) {
    for (const config::ProxyTarget& wanted : table.targets) {
      if (wanted.contains(target)) return table.version;
    }
  }
  return 0;
}

std::vector<std::uint8_t> proxy_header(std::uint32_t version, const std::optional<Endpoint>& client,
                                       const Endpoint& own, const Endpoint& target) {
  std::vector<std::uint8_t> header;
  const auto take = [&](ConstBytes octets) { header.assign(octets.begin(), octets.end()); };
  if (version == 1) {
    const auto encoded = wire::encode_proxy_v1({client.value_or(own), target});
    take(encoded.octets());
  } else {
    std::optional<wire::ProxiedConnection> connection;
    if (client) connection = wire::ProxiedConnection{*client, target};
    const auto encoded = wire::encode_proxy_v2(connection);
    take(encoded.octets());
  }
  return header;
}

}  // namespace stile::server
