// Places that a proxy tells of itself in its replies: where it listens for BIND, and who came there (RFC 1928 section
// 6). Pure. Tested in told_place_test.cc.
#pragma once

#include <optional>
#include <span>

#include "base/address.h"
#include "route/chain.h"
#include "wire/address_field.h"

namespace stile::route {

/// Absent where the proxy told a name, or nothing readable. An address that is unspecified is the proxy's own.
[[nodiscard]] std::optional<Endpoint> told_place(const wire::AddressField& told, const Address& own);

/// That of the last proxy, as far as it is known here: of a single one where it was `dialled`, of several what the URL
/// says; unspecified where that is a name.
[[nodiscard]] Address own_address(std::span<const Hop* const> hops, const Address& dialled);

}  // namespace stile::route
