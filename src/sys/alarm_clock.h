// A descriptor that becomes readable when a time is over, for who waits by poll(2) instead of an engine's loop. One
// thread. Tested in alarm_clock_test.cc.
#pragma once

#include <optional>

#include "base/error.h"
#include "base/time.h"
#include "sys/unique_fd.h"

namespace stile::sys {

class AlarmClock {
 public:
  [[nodiscard]] static Result<AlarmClock> create() noexcept;
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }
  /// Readable so long from now, not before, and from then on; zero: at once. Absent: never. What was set before is
  /// over.
  void set(std::optional<Duration> delay) noexcept;

 private:
  explicit AlarmClock(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace stile::sys
