// Rules for packets (nftables), in the network of the calling process. Blocking; needs CAP_NET_ADMIN there. Of a build
// without nftables there is one that says so. Tested in private_network_test.cc.
#pragma once

#include <expected>
#include <string>

namespace stile::sys {

/// As `nft -f` reads them (nft(8)), all of them or none. The error is the library's word, one line.
[[nodiscard]] std::expected<void, std::string> add_packet_rules(const std::string& rules);

/// Whether this build can.
[[nodiscard]] bool has_packet_rules() noexcept;

}  // namespace stile::sys
