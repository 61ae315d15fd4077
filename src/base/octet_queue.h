// Octets on their way through a pure machine: appended behind, taken in front. Refuses: bounds, which its owner keeps
// by asking for no more input while it is not empty. One that may hold a secret leaves none behind: it wipes what is
// taken, and what it moves out of. Threading: a plain object, used by one thread. Tested in http_exchange_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/secret.h"

namespace stile {

class OctetQueue {
 public:
  enum class Holds : std::uint8_t { octets, secrets };

  explicit OctetQueue(Holds holds = Holds::octets) noexcept : wipes_(holds == Holds::secrets) {}

  /// `octets` must not be this queue's own.
  void append(ConstBytes octets) {
    if (wipes_) return move_and_append(octets);
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
    if (wipes_) wipe(MutableBytes(octets_).subspan(taken_, octets));
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
  // Into memory of its own: a vector that grows or shifts leaves copies.
  void move_and_append(ConstBytes octets) {
    std::vector<std::uint8_t> moved;
    moved.reserve(view().size() + octets.size());
    moved.assign(view().begin(), view().end());
    moved.insert(moved.end(), octets.begin(), octets.end());
    wipe(octets_);
    octets_ = std::move(moved);
    taken_ = 0;
  }

  std::vector<std::uint8_t> octets_;
  std::size_t taken_ = 0;  // of octets_
  bool wipes_;
};

}  // namespace stile
