// The order in which candidates are tried: families interleaved, RFC 8305 section 4 with a First Address Family Count
// of 1. Pure; tested in address_order_test.cc.
#pragma once

#include <vector>

#include "base/address.h"

namespace stile::resolve {

/// Interleaves the families, beginning with `first` where there is one of it; keeps the order within a family, drops
/// repetitions, and keeps at most limits::candidates_max addresses.
[[nodiscard]] std::vector<Address> in_dial_order(const std::vector<Address>& addresses, Family first);

}  // namespace stile::resolve
