#include "sys/wait_any.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "base/assert.h"
#include "sys/errno_table.h"

namespace stile::sys {
namespace {

constexpr std::size_t descriptors_max = 128;

short events_of(WaitFor what) noexcept {
  return what == WaitFor::readable ? POLLIN : what == WaitFor::writable ? POLLOUT : 0;
}

timespec to_timespec(Duration duration) noexcept {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  return {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
}

}  // namespace

Result<void> wait_any(std::span<Waited> all, std::optional<Duration> longest) noexcept {
  std::array<pollfd, descriptors_max> polled{};
  STILE_ASSERT(all.size() <= polled.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    polled[i] = {.fd = all[i].descriptor, .events = events_of(all[i].what), .revents = 0};
    all[i].ready = false;
  }
  const timespec bound = to_timespec(std::max(longest.value_or(Duration::zero()), Duration::zero()));
  const int ready = ::ppoll(polled.data(), all.size(), longest ? &bound : nullptr, nullptr);
  // Whoever was interrupted looks again.
  if (ready < 0 && errno != EINTR) return std::unexpected(make_error(errno));
  for (std::size_t i = 0; ready > 0 && i < all.size(); ++i) all[i].ready = polled[i].revents != 0;
  return {};
}

Duration monotonic_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace stile::sys
