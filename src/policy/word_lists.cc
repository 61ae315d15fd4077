#include "policy/word_lists.h"

namespace stile::policy {

WordLists::WordLists(std::span<const std::pair<std::uint64_t, List>> lists) : slots_(2 * lists.size()) {
  for (const auto& [hash, list] : lists) {
    if (list.length == 0) continue;
    std::size_t place = place_of(hash);
    while (slots_[place].list.length != 0) place = place + 1 == slots_.size() ? 0 : place + 1;
    slots_[place] = {.hash = static_cast<std::uint32_t>(hash), .list = list};
  }
}

}  // namespace stile::policy
