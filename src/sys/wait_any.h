// Waiting for several descriptors at once, for a process or thread that has nothing else to do: the helper, and the
// thread that talks to it. Connections are waited for by an engine. Blocking; any thread. Tested in wait_any_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/time.h"

namespace stile::sys {

/// `hang_up`: of the other side, whatever there is to read.
enum class WaitFor : std::uint8_t { readable, writable, hang_up };

struct Waited {
  int descriptor = -1;  // a negative one is never ready
  WaitFor what = WaitFor::readable;
  bool ready = false;  // also where it failed or hung up
};

/// Until one is ready, or so long, for ever where nothing is said. Says in each whether it is.
[[nodiscard]] Result<void> wait_any(std::span<Waited> all, std::optional<Duration> longest) noexcept;

/// CLOCK_MONOTONIC, which all processes of a host share.
[[nodiscard]] Duration monotonic_now() noexcept;

}  // namespace stile::sys
