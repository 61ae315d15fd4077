// What clients, peers and targets are told about addresses: advertised ones in the place of this host's own, and the
// PROXY header that names the client to a target. Pure. Tested in outside_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "config/outside.h"

namespace stile::server {

/// What takes the place of `own` where others are told to send or connect to it: the advertised address of its family.
/// Loopback stays, since whoever is to come there is on this host. Absent: `own` is the truth.
[[nodiscard]] std::optional<Address> advertised_for(const config::Outside& outside, const Address& own);

/// BND.ADDR of CONNECT for an outgoing socket at `own`: an advertised address hides every one that is not public
/// (protocol reference, 2.4). Without one, a client from outside, whose own address is public, is told the address that
/// it `reached`, or 0.0.0.0 where that is an inside one too (threat TS6).
[[nodiscard]] Address told_by_connect(const config::Outside& outside, const Address& own, const Address& reached,
                                      const Address& client);

/// The version of the header that a connection to `target` begins with; 0: none.
[[nodiscard]] std::uint32_t proxy_version_for(const std::vector<config::ProxyProtocolTo>& tables,
                                              const Endpoint& target) noexcept;

/// That header. `client` absent: it has no address (a Unix-domain socket); version 2 then says LOCAL, version 1 names
/// `own`, this end of the connection, since some receivers refuse UNKNOWN.
[[nodiscard]] std::vector<std::uint8_t> proxy_header(std::uint32_t version, const std::optional<Endpoint>& client,
                                                     const Endpoint& own, const Endpoint& target);

}  // namespace stile::server
