#include "resolve/address_order.h"

#include <algorithm>
#include <array>

#include "base/limits.h"

namespace stile::resolve {

std::vector<Address> in_dial_order(const std::vector<Address>& addresses, Family first) {
  std::array<std::vector<Address>, 2> queues;  // of `first`, and of the other family
  for (const Address& address : addresses) {
    std::vector<Address>& queue = queues[address.family() == first ? 0 : 1];
    if (queue.size() < limits::candidates_max && std::ranges::find(queue, address) == queue.end()) {
      queue.push_back(address);
    }
  }
  std::vector<Address> ordered;
  ordered.reserve(std::min(queues[0].size() + queues[1].size(), limits::candidates_max));
  for (std::size_t i = 0; i < limits::candidates_max; ++i) {
    for (const std::vector<Address>& queue : queues) {
      if (i < queue.size() && ordered.size() < limits::candidates_max) ordered.push_back(queue[i]);
    }
  }
  return ordered;
}

}  // namespace stile::resolve
