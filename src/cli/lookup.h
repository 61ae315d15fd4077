// What a name resolves to, asked as a server with this configuration on this host asks. Blocking, for at most
// limits::dns_total. Tested in tests/e2e.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "base/address.h"
#include "resolve/name_service.h"

namespace stile::cli {

/// In the order in which they would be tried; never empty. A failure says why there is none.
[[nodiscard]] std::expected<std::vector<Address>, std::string> look_up(const HostName& name,
                                                                       const resolve::NameSettings& settings);

}  // namespace stile::cli
