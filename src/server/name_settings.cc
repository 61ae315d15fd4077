#include "server/name_settings.h"

#include <memory>

namespace stile::server {

resolve::NameSettings name_settings(const config::Config& config) {
  resolve::NameSettings settings;
  for (const config::Resolver& resolver : config.resolvers) {
    settings.servers.push_back({.suffixes = resolver.suffixes,
                                .servers = resolver.servers,
                                .transport = resolver.tcp ? resolve::Transport::tcp : resolve::Transport::udp,
                                .try_time = resolver.timeout});
  }
  if (config.names.hosts.empty()) return settings;
  auto overrides = std::make_shared<resolve::HostsTable>();
  for (const auto& [name, addresses] : config.names.hosts) {
    for (const Address& address : addresses) overrides->add(address, name);
  }
  settings.overrides = std::move(overrides);
  return settings;
}

}  // namespace stile::server
