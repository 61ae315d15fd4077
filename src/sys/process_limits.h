// The process's own bounds, raised at start, and what it has used. Blocking, main thread only.
#pragma once

#include <cstddef>

#include "base/error.h"
#include "base/time.h"

namespace stile::sys {

/// Raises the soft limit of open descriptors to the hard one, and says how many that is. Never touches descriptors.
[[nodiscard]] Result<std::size_t> raise_descriptor_limit() noexcept;

/// Cores this process may run on: at least one.
[[nodiscard]] unsigned usable_cores() noexcept;

/// Processor time of all threads of this process, user and system together.
[[nodiscard]] Duration processor_time() noexcept;

}  // namespace stile::sys
