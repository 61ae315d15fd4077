#include "sys/datagram_link.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "sys/errno_table.h"
#include "sys/main_loop.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

std::unexpected<Error> failed() noexcept {
  return std::unexpected(make_error(errno));
}

Result<void> watch(int watcher, int fd) noexcept {
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = fd}};
  if (::epoll_ctl(watcher, EPOLL_CTL_ADD, fd, &event) == -1) return failed();
  return {};
}

/// What an ICMP message about an earlier datagram leaves for a later call, once each.
bool concerns_another(int error) noexcept {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EPROTO;
}

constexpr int others_max = 16;  // in a row

template <class Call>
ssize_t past_the_others(Call call) noexcept {
  ssize_t result = -1;
  for (int i = 0; i < others_max; ++i) {
    result = retry(call);
    if (result != -1 || !concerns_another(errno)) break;
  }
  return result;
}

}  // namespace

Result<DatagramLink> DatagramLink::create(const Endpoint& relay, const std::optional<Address>& from) noexcept {
  UniqueFd fd(::socket(address_family(relay.address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  UniqueFd watcher(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd.is_open() || !watcher.is_open()) return failed();
  if (from && from->family() == relay.address.family()) {
    const SocketAddress own({.address = *from, .port = 0});
    if (::bind(fd.get(), &own.generic, own.length) == -1) return failed();
  }
  const SocketAddress peer(relay);
  if (::connect(fd.get(), &peer.generic, peer.length) == -1) return failed();
  if (auto watched = watch(watcher.get(), fd.get()); !watched) return std::unexpected(watched.error());
  return DatagramLink(std::move(fd), std::move(watcher));
}

Result<void> DatagramLink::keep(UniqueFd stream) {
  if (auto watched = watch(watch_.get(), stream.get()); !watched) return watched;
  streams_.push_back(std::move(stream));
  return {};
}

Result<void> DatagramLink::send(ConstBytes datagram) noexcept {
  const ssize_t sent = past_the_others(
      [&] { return ::send(socket_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL | MSG_DONTWAIT); });
  if (sent == -1) return failed();
  return {};
}

Result<std::size_t> DatagramLink::receive(MutableBytes into) noexcept {
  const ssize_t received =
      past_the_others([&] { return ::recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT); });
  if (received == -1) return failed();
  return static_cast<std::size_t>(received);
}

bool DatagramLink::ended() noexcept {
  std::array<std::uint8_t, 512> dropped;
  for (const UniqueFd& stream : streams_) {
    ssize_t received = 1;
    while (!ended_ && received > 0) {
      received = retry([&] { return ::recv(stream.get(), dropped.data(), dropped.size(), MSG_DONTWAIT); });
    }
    if (received == 0 || (received == -1 && errno != EAGAIN)) ended_ = true;
  }
  return ended_;
}

Result<bool> DatagramLink::wait(std::optional<Duration> longest) const noexcept {
  const auto ready = wait_readable(std::array{watch_.get()}, longest);
  if (ready) return true;
  if (ready.error().kind == ErrorKind::would_block) return false;
  return std::unexpected(ready.error());
}

}  // namespace stile::sys
