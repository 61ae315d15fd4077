// When TCP sockets of a network cease to be, whoever held them (sock_diag(7), the destroy groups). Opened inside the
// network; non-blocking. Where the kernel has more to tell than there is room for, some are missed. Threading: one
// thread a socket. Tested in socket_ends_test.cc.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// Readable when there is one. Needs CONFIG_INET_DIAG.
[[nodiscard]] Result<UniqueFd> open_socket_ends() noexcept;

/// The cookie (SO_COOKIE, socket(7)) of the next one; would_block where there is none.
[[nodiscard]] Result<std::uint64_t> next_socket_end(int fd) noexcept;

}  // namespace stile::sys
