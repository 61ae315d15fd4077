// A network of nothing but loopback, made to hold every address: `lo` is brought up, bears addresses of its own, and
// every other address is local as well ("AnyIP": a default route of type local, ip-route(8)), so that whatever is sent
// anywhere comes back in at `lo`. By rtnetlink(7), in the network of the calling process. Blocking. Tested in
// private_network_test.cc.
#pragma once

#include "base/address.h"
#include "base/error.h"

namespace stile::sys {

[[nodiscard]] Result<void> bring_loopback_up();

/// A host address.
[[nodiscard]] Result<void> add_loopback_address(const Address& address);

/// Every address of the family of `source` is local; what is sent to one of them comes from `source`, which is there
/// already, unless its sender says otherwise.
[[nodiscard]] Result<void> make_every_address_local(const Address& source);

}  // namespace stile::sys
