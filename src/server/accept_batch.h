// How many connections to accept from one listener in one turn. The engine tells again of what is left waiting, so
// fewer than wait are no loss, while an accept that finds nothing costs a system call that makes and discards a socket:
// a lone connection should not pay for it, and a burst must not wait for one turn each. The size is doubled where it
// was used up, and the more seldom that was in vain, the sooner.
// Pure. Tested in accept_batch_test.cc.
#pragma once

#include <algorithm>

namespace stile::server {

class AcceptBatch {
 public:
  [[nodiscard]] int size() const noexcept { return size_; }

  /// What came of it: `accepted` of `size()` connections.
  void took(int accepted) noexcept {
    const bool full = accepted >= size_;
    if (grown_) patience_ = full ? 1 : std::min(2 * patience_, patience_max);
    grown_ = full && ++full_ >= patience_ && size_ < size_max;
    if (!full) size_ = std::max(accepted, 1);
    if (grown_) size_ = std::min(2 * size_, size_max);
    if (grown_ || !full) full_ = 0;
  }

  /// A burst must not hold up the tunnels.
  static constexpr int size_max = 64;

 private:
  static constexpr int patience_max = 64;

  int size_ = 1;
  int full_ = 0;      // batches in a row that were used up
  int patience_ = 1;  // how many of them before the size is doubled
  bool grown_ = false;
};

}  // namespace stile::server
