// A TCP connection whose two ends are two programs of this host, where the one that is called decides when, and
// whether, the caller's connect ends. A listener that is full, and stays so, keeps the caller waiting: Linux answers
// nothing then (tcp(7), listen(2)). Then a socket at the same place connects to the caller, and both are connected
// (simultaneous open, RFC 9293 section 3.5). Nothing but TCP of the kernel's stands between them, so whatever waits for
// the caller's socket (poll, epoll, a blocking call) waits rightly. For callers on a loopback address, which have to be
// bound before they connect. Threading: any. Tested in meeting_socket_test.cc.
#pragma once

#include "base/address.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// Whoever calls at its place waits, and is not answered. Never accepted from; needs no privilege.
struct SilentListener {
  UniqueFd listening;
  UniqueFd filling;  // the one connection that there is room for
  Endpoint place;
};
/// Port 0 lets the kernel choose.
[[nodiscard]] Result<SilentListener> open_silent_listener(const Endpoint& place) noexcept;

/// Connects from the place, where a silent listener of this user's is open, to whoever is calling from `caller`. The
/// socket does not block; it becomes writable once they have met, or fails where nobody calls.
[[nodiscard]] Result<UniqueFd> meet(const Endpoint& place, const Endpoint& caller) noexcept;

/// Whether this system connects two sockets so: tries it.
[[nodiscard]] Result<void> rehearse_meeting() noexcept;

}  // namespace stile::sys
