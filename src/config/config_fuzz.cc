// Any octets as a configuration file: no crash, every fault located inside the file, and what is accepted is sound.
#include <algorithm>
#include <cstdint>

#include "base/assert.h"
#include "config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = stile::config::parse(text, "fuzz.toml");
  if (!config) {
    STILE_ASSERT(!config.error().empty());
    const auto lines = 1 + std::count(text.begin(), text.end(), '\n');
    for (const stile::config::ConfigError& error : config.error()) {
      STILE_ASSERT(!error.message.empty());
      STILE_ASSERT(error.line >= 1 && error.line <= lines + 1 && error.column >= 1);
    }
    return 0;
  }
  STILE_ASSERT(!config->listeners.empty());
  for (const stile::config::Listener& listener : config->listeners) {
    STILE_ASSERT(listener.file.path.size() <= stile::config::socket_path_octets_max);
    STILE_ASSERT(listener.protocols != (stile::config::Protocols{.socks5 = false, .socks4 = false, .http = false}));
  }
  for (const stile::config::Outside* const outside : {&config->udp.outside, &config->bind.outside}) {
    STILE_ASSERT(outside->ports.first <= outside->ports.last && outside->advertise.size() <= 2);
  }
  for (const auto& table : config->proxy_protocol_to) STILE_ASSERT(!table.targets.empty());
  STILE_ASSERT(config->limits.connect_per_address <= config->limits.connect_total);
  STILE_ASSERT(!stile::config::effective(*config).empty());
  static_cast<void>(stile::config::exposures(*config));
  static_cast<void>(stile::config::cautions(*config));
  return 0;
}
