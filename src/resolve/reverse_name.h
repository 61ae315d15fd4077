// The name under which DNS keeps the name of an address: RFC 1035 section 3.5 (in-addr.arpa), RFC 3596 section 2.5
// (ip6.arpa). Pure. Tested in reverse_name_test.cc.
#pragma once

#include <optional>

#include "base/address.h"

namespace stile::resolve {

/// "1.2.0.192.in-addr.arpa" for 192.0.2.1; an IPv6 address gives its 32 nibbles, the last one first.
[[nodiscard]] HostName reverse_name(const Address& address);

/// The address under whose name that is; nothing where it is none of these names.
[[nodiscard]] std::optional<Address> address_of_reverse_name(const HostName& name);

}  // namespace stile::resolve
