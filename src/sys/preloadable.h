// Whether a library named in LD_PRELOAD would be loaded into a program, told from its file before it is executed
// (ld.so(8)), and whether the program would call it: by the kind of file, its format and machine, its loader, and the
// rights that it gains. Allocates nothing and changes nothing, so that it may be asked between vfork(2) and execve(2)
// and in a signal handler. Threading: any. Tested in preloadable_test.cc.
#pragma once

#include <cstdint>
#include <string_view>

namespace stile::sys {

enum class Preloadable : std::uint8_t {
  yes,
  unknown,       // it cannot be looked at; whoever executes it hears why
  is_static,     // it has no loader, and makes its system calls by itself
  other_loader,  // its loader is not this program's: another libc's, or that of another machine
  go,            // written in Go: it has a loader perhaps, and makes its system calls by itself all the same
  gains_rights,  // the set-user-ID or set-group-ID bit, or a file's capabilities: its loader takes nothing from us
};

/// Looks this program's own loader up, if nobody has yet: under a lock of the dynamic linker's, which a child of a
/// program with threads may never get.
void prepare_preloadable() noexcept;

/// "a static program", for sentences; empty for `yes` and `unknown`.
[[nodiscard]] std::string_view words(Preloadable answer) noexcept;

/// Of what execve(2) would run: a script's interpreter, where it is one.
[[nodiscard]] Preloadable preloadable(const char* path) noexcept;

/// Where execvp(3) would find it, by the value of PATH; `room` takes the path. nullptr: nowhere, or it does not fit.
[[nodiscard]] const char* find_program(const char* name, const char* path, char* room, std::size_t octets) noexcept;

}  // namespace stile::sys
