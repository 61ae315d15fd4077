// The running timers of one engine, earliest first: a 4-ary heap whose entries the timers know their place in, so that
// starting, moving and removing one costs no allocation beyond the heap's own growth. Timers with the same deadline
// come in no promised order, but in the same one whenever the same calls are made.
// One thread. Tested in timer_queue_test.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "engine/engine.h"

namespace stile::engine {

class TimerQueue {
 public:
  /// Puts `timer` in, or moves it to another deadline.
  void start(Timer& timer, Instant deadline);
  /// False when it was not inside.
  bool remove(Timer& timer) noexcept;
  /// Takes out the earliest timer if it is due at `now`, else nullptr.
  [[nodiscard]] Timer* take_due(Instant now) noexcept;
  /// The earliest deadline.
  [[nodiscard]] std::optional<Instant> next() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }

 private:
  struct Entry {
    Instant deadline;  // beside the pointer, so that sifting does not touch the timers it only compares
    Timer* timer;
  };

  void place(std::size_t index, const Entry& entry) noexcept;
  void sift_up(std::size_t index, const Entry& entry) noexcept;
  void sift_down(std::size_t index, const Entry& entry) noexcept;

  std::vector<Entry> heap_;
};

}  // namespace stile::engine
