// Whether to look for events for a moment before going to sleep. Waking a thread on another core takes tens of
// microseconds; where requests and responses follow each other faster than that, looking is cheaper than sleeping, and
// everywhere else it is waste. So it is tried where the loop goes round fast, kept up only as long as it finds
// something, and tried again the more seldom the less it found: on one core with the peer, who cannot answer meanwhile,
// it ends after a few tries, and an idle loop never starts. Pure: the engine tells what happened. One thread. Tested in
// spin_test.cc.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace stile::engine {

class Spin {
 public:
  /// The longest look; zero forbids it.
  explicit Spin(Duration bound) noexcept : bound_(bound) {}

  /// For how long to look before the sleep that is due. Zero: not at all.
  [[nodiscard]] Duration budget() const noexcept { return credit_ > 0 ? bound_ : Duration::zero(); }

  /// An event came while the loop looked.
  void found() noexcept {
    credit_ = std::min(credit_ + 1, credit_max);
    if (++found_ >= paid_after) patience_ = patience_min;
  }
  /// None did. `crowded`: meanwhile another thread wanted this core.
  void missed(bool crowded) noexcept {
    credit_ -= crowded ? credit_max : missed_cost;
    if (credit_ > 0) return;
    credit_ = 0;
    found_ = 0;
    quick_ = 0;
    patience_ = std::min(2 * patience_, patience_max);
  }
  /// The loop went round without a look, and slept: how long all of it took.
  void slept(Duration round) noexcept {
    if (bound_ <= Duration::zero()) return;
    quick_ = round <= quick_rounds * bound_ ? quick_ + 1 : 0;
    if (quick_ < patience_) return;
    quick_ = 0;
    credit_ = credit_at_first;
  }

 private:
  // A look pays where more than a few of ten find something: what it finds saves a sleep and a wake-up.
  static constexpr int credit_max = 16;
  static constexpr int credit_at_first = 8;
  static constexpr int missed_cost = 2;
  static constexpr int quick_rounds = 3;
  static constexpr std::uint32_t paid_after = 64;
  static constexpr std::uint32_t patience_min = 32;
  static constexpr std::uint32_t patience_max = 32'768;

  Duration bound_;
  int credit_ = 0;
  std::uint32_t quick_ = 0;  // rounds in a row
  std::uint32_t found_ = 0;
  std::uint32_t patience_ = patience_min;  // quick rounds before the next try
};

}  // namespace stile::engine
