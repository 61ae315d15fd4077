// A process that goes on by itself when whoever started it has gone: in a session of its own, with nothing of its
// starter's but what it opened itself. Threading: main thread, while there is no other. Tested in background_test.cc.
#pragma once

#include "base/error.h"

namespace stile::sys {

/// Descriptors above standard error that this process was started with; standard streams that it was started without lead
/// nowhere from here on, so that nothing else gets their numbers. First of all, or its own are among them.
void close_inherited() noexcept;

/// This process ends with 0, as its starter sees it, and a child goes on from here: in the root folder, its standard
/// streams lead nowhere.
[[nodiscard]] Result<void> go_to_background() noexcept;

}  // namespace stile::sys
