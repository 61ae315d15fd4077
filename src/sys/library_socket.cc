#include "sys/library_socket.h"

#include <unistd.h>

#include <cerrno>

#include "sys/retry.h"

namespace stile::sys {

int library_socket_open(int family, int type, int protocol) noexcept {
  return ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

int library_socket_connect(int fd, const sockaddr* peer, socklen_t octets) noexcept {
  return ::connect(fd, peer, octets);  // not repeated after EINTR: the attempt goes on then
}

int library_socket_close(int fd) noexcept {
  return ::close(fd);
}

ssize_t library_socket_receive(int fd, void* into, std::size_t octets, int flags, sockaddr* peer,
                               socklen_t* peer_octets) noexcept {
  return retry([&] { return ::recvfrom(fd, into, octets, flags, peer, peer_octets); });
}

ssize_t library_socket_send(int fd, const iovec* parts, int count) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);  // sendmsg(2) only reads them
  message.msg_iovlen = static_cast<std::size_t>(count);
  const auto send = [&] { return retry([&] { return ::sendmsg(fd, &message, MSG_NOSIGNAL); }); };
  const ssize_t sent = send();
  return sent == -1 && errno == ECONNREFUSED ? send() : sent;
}

}  // namespace stile::sys
