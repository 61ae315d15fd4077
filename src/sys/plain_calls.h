// The socket calls of the system, as they are, for an interface that stands in their place and leaves to them what is
// no concern of its own: -1 and errno. Any thread. Tested by
// tests/e2e/libstile_programs_test.py.
#pragma once

#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>

namespace stile::sys {

int plain_connect(int fd, const sockaddr* address, socklen_t length) noexcept;
int plain_bind(int fd, const sockaddr* address, socklen_t length) noexcept;
int plain_listen(int fd, int backlog) noexcept;
int plain_accept(int fd, sockaddr* address, socklen_t* length) noexcept;
int plain_own_name(int fd, sockaddr* address, socklen_t* length) noexcept;
int plain_peer_name(int fd, sockaddr* address, socklen_t* length) noexcept;
ssize_t plain_send_to(int fd, const void* octets, std::size_t size, int flags, const sockaddr* to,
                      socklen_t length) noexcept;
ssize_t plain_receive_from(int fd, void* octets, std::size_t size, int flags, sockaddr* from,
                           socklen_t* length) noexcept;
int plain_select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* longest) noexcept;

}  // namespace stile::sys
