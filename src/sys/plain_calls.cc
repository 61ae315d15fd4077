#include "sys/plain_calls.h"

namespace stile::sys {

int plain_connect(int fd, const sockaddr* address, socklen_t length) noexcept {
  return ::connect(fd, address, length);
}

int plain_bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  return ::bind(fd, address, length);
}

int plain_listen(int fd, int backlog) noexcept {
  return ::listen(fd, backlog);
}

int plain_accept(int fd, sockaddr* address, socklen_t* length) noexcept {
  return ::accept(fd, address, length);
}

int plain_own_name(int fd, sockaddr* address, socklen_t* length) noexcept {
  return ::getsockname(fd, address, length);
}

int plain_peer_name(int fd, sockaddr* address, socklen_t* length) noexcept {
  return ::getpeername(fd, address, length);
}

ssize_t plain_send_to(int fd, const void* octets, std::size_t size, int flags, const sockaddr* to,
                      socklen_t length) noexcept {
  return ::sendto(fd, octets, size, flags, to, length);
}

ssize_t plain_receive_from(int fd, void* octets, std::size_t size, int flags, sockaddr* from,
                           socklen_t* length) noexcept {
  return ::recvfrom(fd, octets, size, flags, from, length);
}

int plain_select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* longest) noexcept {
  return ::select(count, readable, writable, exceptional, longest);
}

}  // namespace stile::sys
