// The socket calls of a library that leaves them to its host: non-blocking, close-on-exec, never SIGPIPE. errno tells
// why a call gave -1, as the library expects. Any thread. Tested in library_socket_test.cc.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

namespace stile::sys {

[[nodiscard]] int library_socket_open(int family, int type, int protocol) noexcept;
[[nodiscard]] int library_socket_connect(int fd, const sockaddr* peer, socklen_t octets) noexcept;
int library_socket_close(int fd) noexcept;
[[nodiscard]] ssize_t library_socket_receive(int fd, void* into, std::size_t octets, int flags, sockaddr* peer,
                                             socklen_t* peer_octets) noexcept;
/// A send that meets the refusal of an earlier datagram is repeated: the datagram at hand was not sent, and it is this
/// one's own refusal that will tell the reader.
[[nodiscard]] ssize_t library_socket_send(int fd, const iovec* parts, int count) noexcept;

}  // namespace stile::sys
