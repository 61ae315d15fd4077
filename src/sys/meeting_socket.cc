#include "sys/meeting_socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"

namespace stile::sys {
namespace {

constexpr int rehearsal_milliseconds_max = 1000;  // in memory it takes microseconds

Result<void> set(int fd, int option) noexcept {
  const int on = 1;
  if (::setsockopt(fd, SOL_SOCKET, option, &on, sizeof on) != 0) return std::unexpected(make_error(errno));
  return {};
}

/// Several sockets may stand at one place: the listener, and one for each connection.
Result<UniqueFd> open_at(const Endpoint& place) noexcept {
  const SocketAddress address(place);
  UniqueFd fd(::socket(address.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::unexpected(make_error(errno));
  if (!place.address.is_v4()) {
    if (auto done = set_v6_only(fd.get()); !done) return std::unexpected(done.error());
  }
  for (const int option : {SO_REUSEADDR, SO_REUSEPORT}) {
    if (auto done = set(fd.get(), option); !done) return std::unexpected(done.error());
  }
  if (::bind(fd.get(), &address.generic, address.length) != 0) return std::unexpected(make_error(errno));
  return fd;
}

Result<Endpoint> place_of(int fd) noexcept {
  SocketAddress address;
  if (::getsockname(fd, &address.generic, &address.length) != 0) return std::unexpected(make_error(errno));
  return address.endpoint();
}

Result<void> await(int fd, short events) noexcept {
  pollfd one{.fd = fd, .events = events, .revents = 0};
  if (retry([&] { return ::poll(&one, 1, rehearsal_milliseconds_max); }) == 1 && (one.revents & POLLERR) == 0)
    return {};
  return std::unexpected(make_error(EOPNOTSUPP));
}

}  // namespace

Result<SilentListener> open_silent_listener(const Endpoint& place) noexcept {
  SilentListener made;
  auto listening = open_at(place);
  if (!listening) return std::unexpected(listening.error());
  made.listening = *std::move(listening);
  if (::listen(made.listening.get(), 0) != 0) return std::unexpected(make_error(errno));
  const auto where = place_of(made.listening.get());
  if (!where) return std::unexpected(where.error());
  made.place = *where;
  const SocketAddress address(made.place);
  made.filling = UniqueFd(::socket(address.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.filling) return std::unexpected(make_error(errno));
  if (::connect(made.filling.get(), &address.generic, address.length) != 0 && errno != EINPROGRESS) {
    return std::unexpected(make_error(errno));
  }
  if (auto full = await(made.listening.get(), POLLIN); !full) return std::unexpected(full.error());
  return made;
}

Result<UniqueFd> meet(const Endpoint& place, const Endpoint& caller) noexcept {
  auto fd = open_at(place);
  if (!fd) return fd;
  const SocketAddress address(caller);
  if (::connect(fd->get(), &address.generic, address.length) != 0 && errno != EINPROGRESS) {
    return std::unexpected(make_error(errno));
  }
  return fd;
}

Result<void> rehearse_meeting() noexcept {
  const Endpoint anywhere{Address::v4(127, 0, 0, 1), 0};
  auto listener = open_silent_listener(anywhere);
  if (!listener) return std::unexpected(listener.error());
  auto caller = open_at(anywhere);
  if (!caller) return std::unexpected(caller.error());
  const auto from = place_of(caller->get());
  if (!from) return std::unexpected(from.error());
  const SocketAddress address(listener->place);
  if (::connect(caller->get(), &address.generic, address.length) == 0 || errno != EINPROGRESS) {
    return std::unexpected(make_error(EOPNOTSUPP));
  }
  auto met = meet(listener->place, *from);
  if (!met) return std::unexpected(met.error());
  if (auto done = await(met->get(), POLLOUT); !done) return done;
  return await(caller->get(), POLLOUT);
}

}  // namespace stile::sys
