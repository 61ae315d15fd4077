// Assertions that stay on in release builds: a broken invariant must stop the process, never go on with wrong state.
#pragma once

namespace stile {

/// Prints the condition and its place to stderr and aborts. Never returns.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace stile

#define STILE_ASSERT(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::stile::assertion_failed(#condition, __FILE__, __LINE__))
