#include "sys/handed_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"

namespace stile::sys {
namespace {

std::unexpected<Error> failed() noexcept {
  return std::unexpected(make_error(errno));
}

std::optional<Endpoint> own_endpoint(int fd) noexcept {
  SocketAddress address;
  if (::getsockname(fd, &address.generic, &address.length) == -1) return std::nullopt;
  return address.endpoint();
}

constexpr int strangers_max = 16;  // who try to get in between before it is given up

}  // namespace

Result<void> set_blocking(int fd, bool blocking) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags == -1) return failed();
  const int wanted = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  if (wanted != flags && ::fcntl(fd, F_SETFL, wanted) == -1) return failed();
  return {};
}

// Anybody on this host may connect while it listens: the one that is taken is known by its port.
Result<StreamPair> loopback_pair() noexcept {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  StreamPair pair;
  pair.one.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener.is_open() || !pair.one.is_open()) return failed();
  if (auto set = set_early_stream_options(pair.one.get()); !set) return std::unexpected(set.error());
  const SocketAddress any({.address = Address::v4(127, 0, 0, 1), .port = 0});
  if (::bind(listener.get(), &any.generic, any.length) == -1 || ::listen(listener.get(), strangers_max) == -1) {
    return failed();
  }
  const auto place = own_endpoint(listener.get());
  if (!place) return failed();
  const SocketAddress there(*place);
  if (retry([&] { return ::connect(pair.one.get(), &there.generic, there.length); }) == -1) return failed();
  const auto own = own_endpoint(pair.one.get());
  for (int i = 0; own && i <= strangers_max; ++i) {
    SocketAddress peer;
    pair.other.reset(retry([&] { return ::accept4(listener.get(), &peer.generic, &peer.length, SOCK_CLOEXEC); }));
    if (!pair.other.is_open()) return failed();
    if (peer.endpoint() != *own) continue;
    if (auto set = set_early_stream_options(pair.other.get()); !set) return std::unexpected(set.error());
    for (const int end : {pair.one.get(), pair.other.get()}) {
      if (auto set = set_blocking(end, false); !set) return std::unexpected(set.error());
    }
    return pair;
  }
  return std::unexpected(Error{.kind = ErrorKind::refused, .os_code = ECONNREFUSED});
}

std::optional<SocketIdentity> identity_of(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) == -1) return std::nullopt;
  return SocketIdentity{status.st_dev, status.st_ino};
}

std::optional<SocketKind> internet_kind_of(int fd) noexcept {
  const auto option = [fd](int name) {
    int value = -1;
    socklen_t octets = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &octets) == 0 ? value : -1;
  };
  const int domain = option(SO_DOMAIN);
  if (domain != AF_INET && domain != AF_INET6) return std::nullopt;
  const int type = option(SO_TYPE);
  if (type == SOCK_STREAM) return SocketKind::stream;
  if (type == SOCK_DGRAM) return SocketKind::datagram;
  return std::nullopt;
}

Result<void> put_onto(int fd, int onto) noexcept {
  const int own_flags = ::fcntl(onto, F_GETFD);
  const bool blocking = !is_non_blocking(onto);
  if (own_flags == -1) return failed();
  if (::dup3(fd, onto, (own_flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) == -1) return failed();
  return set_blocking(onto, blocking);
}

bool is_non_blocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags != -1 && (flags & O_NONBLOCK) != 0;
}

}  // namespace stile::sys
