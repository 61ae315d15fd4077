// A routing table by which packets with a mark are this host's own, whoever they are for (ip-rule(8), and a default
// route of type local): what is diverted to a socket has to be delivered here. By rtnetlink(7), in the network of the
// calling process; needs CAP_NET_ADMIN. Blocking. Tested in policy_route_test.cc.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/error.h"

namespace stile::sys {

/// Rule and table go by numbers of their own, so that nobody else's are touched.
struct MarkedDelivery {
  std::uint32_t mark = 0;
  std::uint32_t table = 0;
  std::uint32_t preference = 0;  // of the rule among others (ip-rule(8))
};

/// As `ip rule add` and `ip route add` do it; what is there already stays. A system may have no IPv6.
[[nodiscard]] Result<void> deliver_marked(Family family, const MarkedDelivery& delivery);

/// What deliver_marked did; nothing of it there is as good.
void undo_deliver_marked(Family family, const MarkedDelivery& delivery);

}  // namespace stile::sys
