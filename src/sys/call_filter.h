// Which system calls a server makes, and no others: a list for the whole process, and a shorter one for the threads
// that read what strangers send. Neither runs a program, starts a process, looks into another one, maps code, mounts,
// enters a namespace, loads a module or uses io_uring; sockets are IP, Unix-domain and routing ones, those of workers
// IP alone. What is not listed fails with EPERM; in builds with sanitizers, which only test, it ends the process, so
// that a call that is missing here is found. Layers add up: nobody gets a call back. Threading: as each function says.
// Tested in call_filter_test.cc.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace stile::sys {

enum class CallList : std::uint8_t {
  process,  // for every thread that there is, and those that they start
  worker,   // for the calling thread alone
};

/// True for builds that need, and get, a few calls more than a server has: leak detection looks into its own process.
[[nodiscard]] bool calls_are_for_sanitizers() noexcept;

/// Needs `forbid_new_privileges` (sys/privileges.h). Fails as not_found where the kernel has no filters, or where this
/// program does not know the processor's calls.
[[nodiscard]] Result<void> filter_calls(CallList list) noexcept;

}  // namespace stile::sys
