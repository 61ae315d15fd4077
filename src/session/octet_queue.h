// Octets on their way through a pure machine: appended behind, taken in front. Refuses: bounds, which its owner keeps
// by asking for no more input while it is not empty. Threading: a plain object, used by one thread. Tested in
// http_exchange_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"

namespace stile::session {

class OctetQueue {
 public:
  /// `octets` must not be this queue's own.
  void append(ConstBytes octets) {
    octets_.erase(octets_.begin(), octets_.begin() + static_cast<std::ptrdiff_t>(taken_));
    taken_ = 0;
    octets_.insert(octets_.end(), octets.begin(), octets.end());
  }
  void append(std::string_view text) {
    append(ConstBytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }

  [[nodiscard]] ConstBytes view() const noexcept { return ConstBytes(octets_).subspan(taken_); }
  [[nodiscard]] bool empty() const noexcept { return taken_ == octets_.size(); }

  void take(std::size_t octets) noexcept {
    STILE_ASSERT(octets <= octets_.size() - taken_);
    taken_ += octets;
    if (!empty()) return;
    octets_.clear();
    taken_ = 0;
  }
  void clear() noexcept { take(view().size()); }
  /// Gives its memory back, if nothing is in it: what waits for a long time should cost nothing.
  void rest() noexcept {
    if (empty()) octets_ = {};
  }

 private:
  std::vector<std::uint8_t> octets_;
  std::size_t taken_ = 0;  // of octets_
};

}  // namespace stile::session
