// Repeats a system call that a signal interrupted, so that EINTR is no result anywhere else. Not for close(2), which
// gives the descriptor up even then. Tested through everything that uses it.
#pragma once

#include <cerrno>

namespace stile::sys {

/// `retry([&] { return ::recv(…); })`: what the call returned, errno set where that is -1.
template <class Call>
auto retry(Call call) noexcept {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

}  // namespace stile::sys
