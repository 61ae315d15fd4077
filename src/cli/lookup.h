// What a name resolves to, asked as a server on this host asks: the hosts file, then DNS as resolv.conf says. Blocking,
// for at most limits::dns_total. Tested in tests/e2e.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "base/address.h"

namespace stile::cli {

/// In the order in which they would be tried; never empty. A failure says why there is none.
[[nodiscard]] std::expected<std::vector<Address>, std::string> look_up(const HostName& name);

}  // namespace stile::cli
