// Prefixes to values: which of them hold an address. Prefixes nest or lie apart, so each knows the narrowest one around
// it, and one binary search finds the narrowest that may hold an address; the others are those around it. Pure;
// immutable once sealed, then any thread. Refuses to forget. Tested in prefix_tree_test.cc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"

namespace stile::policy {

class PrefixTree {
 public:
  /// Each prefix once.
  void add(const Cidr& prefix, std::uint32_t value) { nodes_.push_back({.prefix = prefix, .value = value}); }
  /// Once, behind the last add.
  void seal();

  /// Calls visit(value) for every prefix that holds `address`, the narrowest first.
  template <class Visit>
  void visit(const Address& address, Visit visit) const {
    const auto behind =
        std::ranges::upper_bound(nodes_, address, {}, [](const Node& node) { return node.prefix.base; });
    for (auto at = static_cast<std::uint32_t>(behind - nodes_.begin()); at != 0; at = nodes_[at - 1].around) {
      if (nodes_[at - 1].prefix.contains(address)) visit(nodes_[at - 1].value);
    }
  }

  [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
  /// Memory taken, this object excepted.
  [[nodiscard]] std::size_t octets() const noexcept { return nodes_.capacity() * sizeof(Node); }

 private:
  struct Node {
    Cidr prefix;
    std::uint32_t value = 0;
    std::uint32_t around = 0;  // the narrowest prefix around this one: its index plus one, or 0
  };

  std::vector<Node> nodes_;  // by base, the wider first
};

}  // namespace stile::policy
