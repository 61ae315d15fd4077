// Prefixes to values: which of them hold an address. Prefixes nest or lie apart, so each knows the narrowest one around
// it, and one binary search finds the narrowest that may hold an address; the others are those around it. Pure;
// immutable once sealed, then any thread. Refuses to forget. Tested in prefix_tree_test.cc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "policy/address_number.h"

namespace stile::policy {

template <class Value>
class PrefixTree {
 public:
  /// Each prefix once.
  void add(const Cidr& prefix, const Value& value) {
    if (prefix.base.is_v4()) {
      v4_.add(number32_of(prefix.base), prefix.length, value);
    } else {
      v6_.add(number128_of(prefix.base), prefix.length, value);
    }
  }
  /// Once, behind the last add.
  void seal() {
    v4_.seal();
    v6_.seal();
  }

  /// Calls visit(value) for every prefix that holds `address`, the narrowest first.
  template <class Visit>
  void visit(const Address& address, Visit visit) const {
    if (address.is_v4()) {
      if (!v4_.nodes.empty()) v4_.visit(number32_of(address), visit);
    } else {
      if (!v6_.nodes.empty()) v6_.visit(number128_of(address), visit);
    }
  }

 private:
  template <class Number>
  struct Tree {
    struct Node {
      Number first;
      Number last;
      Value value;
      std::uint32_t around = 0;  // the narrowest prefix around this one: its index plus one, or 0
    };

    void add(const Number& first, unsigned length, const Value& value) {
      nodes.push_back({.first = first, .last = last_of(first, length), .value = value});
    }
    void seal();
    template <class Visit>
    void visit(const Number& number, Visit& visit) const {
      const auto behind = std::ranges::upper_bound(firsts, number);
      for (auto at = static_cast<std::uint32_t>(behind - firsts.begin()); at != 0; at = nodes[at - 1].around) {
        if (number <= nodes[at - 1].last) visit(nodes[at - 1].value);
      }
    }

    std::vector<Node> nodes;     // by first, the wider before the narrower
    std::vector<Number> firsts;  // of the nodes: what is searched lies close together
  };

  Tree<std::uint32_t> v4_;
  Tree<Number128> v6_;
};

template <class Value>
template <class Number>
void PrefixTree<Value>::Tree<Number>::seal() {
  std::ranges::sort(
      nodes, [](const Node& a, const Node& b) { return a.first != b.first ? a.first < b.first : a.last > b.last; });
  nodes.shrink_to_fit();
  firsts.reserve(nodes.size());
  for (Node& node : nodes) {
    auto around = static_cast<std::uint32_t>(firsts.size());
    while (around != 0 && nodes[around - 1].last < node.last) around = nodes[around - 1].around;
    node.around = around;
    firsts.push_back(node.first);
  }
}

}  // namespace stile::policy
