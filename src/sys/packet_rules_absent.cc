#include "sys/packet_rules.h"

namespace stile::sys {

std::expected<void, std::string> add_packet_rules(const std::string&) {
  return std::unexpected("this stile was built without nftables");
}

bool has_packet_rules() noexcept {
  return false;
}

}  // namespace stile::sys
