#include "policy/prefix_tree.h"

#include <tuple>

namespace stile::policy {

void PrefixTree::seal() {
  std::ranges::sort(nodes_, {}, [](const Node& node) { return std::tuple(node.prefix.base, node.prefix.length); });
  nodes_.shrink_to_fit();
  for (std::uint32_t i = 1; i < nodes_.size(); ++i) {
    std::uint32_t around = i;  // the one before, plus one
    while (around != 0 && !nodes_[around - 1].prefix.contains(nodes_[i].prefix)) around = nodes_[around - 1].around;
    nodes_[i].around = around;
  }
}

}  // namespace stile::policy
