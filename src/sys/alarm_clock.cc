#include "sys/alarm_clock.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/assert.h"
#include "sys/errno_table.h"

namespace stile::sys {

Result<AlarmClock> AlarmClock::create() noexcept {
  UniqueFd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd.is_open()) return std::unexpected(make_error(errno));
  return AlarmClock(std::move(fd));
}

void AlarmClock::set(std::optional<Duration> delay) noexcept {
  itimerspec time{};
  if (delay) {
    const Duration at_least = std::max<Duration>(*delay, std::chrono::nanoseconds(1));  // zero would disarm it
    const auto seconds = std::chrono::floor<std::chrono::seconds>(at_least);
    time.it_value = {.tv_sec = seconds.count(), .tv_nsec = (at_least - seconds).count()};
  }
  STILE_ASSERT(::timerfd_settime(fd_.get(), 0, &time, nullptr) == 0);
}

}  // namespace stile::sys
