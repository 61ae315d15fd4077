// A TCP connection begun with as few system calls as can be, for whoever makes very many of them and has no use for
// ICMP reports. On bare descriptors; any thread. Tested in stream_socket_test.cc.
#pragma once

#include <optional>

#include "base/address.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// A non-blocking socket whose connection to `peer` stands or is under way, without Nagle's delay. A `source` of the
/// peer's family is where it comes from; its port is chosen last, so that only connections to the same peer exclude
/// each other (IP_BIND_ADDRESS_NO_PORT). address_unavailable: no port is free between the two.
[[nodiscard]] Result<UniqueFd> begin_stream(const Endpoint& peer, const std::optional<Address>& source) noexcept;

}  // namespace stile::sys
