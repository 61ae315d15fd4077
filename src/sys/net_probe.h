// Questions to the kernel about this host's network that send nothing. For any thread; each takes microseconds.
// Tested in net_probe_test.cc.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/error.h"
#include "base/interface_name.h"

namespace stile::sys {

/// True when the kernel would find a route and a source address for a packet to `address`.
[[nodiscard]] bool has_route(const Address& address) noexcept;

/// The source address that the kernel would choose for a packet to `address`, where the socket has to leave by
/// `interface` (not empty) and with `mark` (not 0).
[[nodiscard]] Result<Address> source_towards(const Address& address, const InterfaceName& interface = {},
                                             std::uint32_t mark = 0) noexcept;

/// True where this host has it.
[[nodiscard]] bool has_interface(const InterfaceName& interface) noexcept;

/// True where the calling thread may set marks on its sockets.
[[nodiscard]] bool may_mark() noexcept;

/// True when any interface bears an IPv6 address, loopback included: false where IPv6 is disabled or unknown.
[[nodiscard]] bool has_ipv6_address() noexcept;

}  // namespace stile::sys
