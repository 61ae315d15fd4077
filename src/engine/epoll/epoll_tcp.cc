// TCP on epoll: listening, accepting, connecting, octets.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/limits.h"
#include "engine/epoll/epoll_engine.h"
#include "engine/epoll/epoll_flags.h"
#include "engine/epoll/error_queue.h"
#include "sys/errno_table.h"
#include "sys/net_probe.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"

namespace stile::engine {
namespace {

// Connections that went away while they waited to be accepted, skipped in one call at most.
constexpr int gone_connections_max = 64;

std::unexpected<Error> last_error() noexcept {
  return std::unexpected(sys::make_error(errno));
}

Result<sys::UniqueFd> stream_socket(const Address& address, Result<void> (*set_options)(int)) noexcept {
  sys::UniqueFd fd{::socket(sys::address_family(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd.is_open()) return last_error();
  if (!address.is_v4()) {
    if (auto set = sys::set_v6_only(fd.get()); !set) return std::unexpected(set.error());
  }
  if (auto set = set_options(fd.get()); !set) return std::unexpected(set.error());
  return fd;
}

int accept_one(int listener, sys::SocketAddress& peer) noexcept {
  return sys::retry([&] {
    peer.length = sizeof(sockaddr_in6);
    return ::accept4(listener, &peer.generic, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  });
}

/// accept(2) reports what happened to the connection it would have given; the next one may be well.
bool concerns_one_connection(int errno_value) noexcept {
  switch (errno_value) {
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

/// The port is chosen when the connection's other end is known, so that as many fit as without an address.
Result<void> bind_to(const Address& from, int fd) noexcept {
  if (auto set = sys::set_late_port(fd); !set) return set;
  const sys::SocketAddress address{{from, 0}};
  if (::bind(fd, &address.generic, address.length) == -1) return last_error();
  return {};
}

/// The ICMP message that ended a connection attempt; none where the peer or this host itself refused.
std::optional<IcmpReport> read_icmp_report(int fd) noexcept {
  std::uint8_t octet = 0;  // what it quotes is of no interest
  const auto queued = epoll::read_error_queue(fd, {&octet, 1});
  return queued ? std::optional(queued->report) : std::nullopt;
}

}  // namespace

Result<void> EpollEngine::set_egress(int fd, Family family, const Egress* from) noexcept {
  if (from == nullptr) return {};
  if (from->foreign) {
    if (auto set = sys::set_free_bind(fd, family); !set) return set;
  }
  if (!from->interface.empty()) {
    if (auto set = sys::set_interface(fd, from->interface); !set) return set;
  }
  return from->mark == 0 ? Result<void>() : sys::set_mark(fd, from->mark);
}

Result<EpollEngine::OpenListener> EpollEngine::open_listener(const Endpoint& local, const ListenOptions& options) {
  auto fd = stream_socket(local.address, sys::set_stream_options);
  if (!fd) return std::unexpected(fd.error());
  if (auto set = sys::set_reuse_address(fd->get()); !set) return std::unexpected(set.error());
  if (options.reuse_port) {
    if (auto set = sys::set_reuse_port(fd->get()); !set) return std::unexpected(set.error());
  }
  if (auto set = set_egress(fd->get(), local.address.family(), options.egress); !set) {
    return std::unexpected(set.error());
  }
  // A system that has none of it serves all the same.
  if (options.fast_open) (void)sys::set_fast_open_listen(fd->get(), limits::fast_open_waiting_max);
  sys::SocketAddress address{local};
  if (::bind(fd->get(), &address.generic, address.length) == -1) return last_error();
  if (::listen(fd->get(), options.backlog) == -1) return last_error();
  address = {};
  if (::getsockname(fd->get(), &address.generic, &address.length) == -1) return last_error();
  return OpenListener{.fd = std::move(*fd), .local = address.endpoint()};
}

Result<void> EpollEngine::listen(Socket& listener, const Endpoint& local, const ListenOptions& options) {
  STILE_ASSERT(!listener.is_open() && !listener.pending());
  auto open = open_listener(local, options);
  if (!open) return std::unexpected(open.error());
  opened(listener, open->fd.release(), epoll::listening);
  return {};
}

Result<Endpoint> EpollEngine::try_accept(Socket& listener, Socket& accepted) {
  STILE_ASSERT(listener.is_open() && !accepted.is_open() && !accepted.pending());
  for (int gone = 0;; ++gone) {
    sys::SocketAddress peer;
    const int fd = accept_one(listener.handle(), peer);
    if (fd >= 0) {
      opened(accepted, fd, epoll::stream);
      epoll::set(SocketState::ready(accepted), epoll::writable);  // its send buffer is empty
      return peer.endpoint();
    }
    const Error error = sys::make_error(errno);
    if (concerns_one_connection(error.os_code) && gone < gone_connections_max) continue;
    if (error.kind == ErrorKind::would_block) {
      epoll::clear(SocketState::ready(listener), epoll::readable);
      if (SocketState::failure(listener) != 0) return std::unexpected(SocketState::failure_error(listener));
    }
    return std::unexpected(error);
  }
}

bool EpollEngine::shed_one(Socket& listener) {
  STILE_ASSERT(listener.is_open());
  const auto open_reserve = [] { return sys::UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}; };
  if (!reserve_.is_open()) reserve_ = open_reserve();
  if (!reserve_.is_open()) return false;
  reserve_.reset();
  sys::SocketAddress peer;
  sys::UniqueFd fd{accept_one(listener.handle(), peer)};
  const bool shed = fd.is_open();
  if (!shed && sys::error_kind(errno) == ErrorKind::would_block) {
    epoll::clear(SocketState::ready(listener), epoll::readable);
  }
  // Where the option fails the peer sees FIN instead of RST: it is turned away all the same.
  if (shed) (void)sys::set_reset_on_close(fd.get());
  fd.reset();
  reserve_ = open_reserve();  // another process may have been faster; the next call tries again
  return shed;
}

std::expected<void, ConnectFailure> EpollEngine::connect(Socket& socket, const Endpoint& peer,
                                                         const ConnectOptions& options) {
  STILE_ASSERT(!socket.is_open() && !socket.pending());
  const auto failure = [](const Error& error) { return std::unexpected(ConnectFailure{error, std::nullopt}); };
  auto fd = stream_socket(peer.address, sys::set_early_stream_options);
  if (!fd) return failure(fd.error());
  if (auto set = sys::set_icmp_reports(fd->get(), peer.address.family(), true); !set) return failure(set.error());
  auto leaves = set_egress(fd->get(), peer.address.family(), options.from);
  if (leaves && options.from != nullptr && options.from->address) leaves = bind_to(*options.from->address, fd->get());
  if (!leaves) return std::unexpected(ConnectFailure{.error = leaves.error(), .icmp = std::nullopt, .egress = true});
  if (options.fast_open) (void)sys::set_fast_open_connect(fd->get());  // without it, it takes a round trip more
  const sys::SocketAddress address{peer};
  // Not repeated after EINTR: the attempt goes on then, as it does after EINPROGRESS.
  const int result = ::connect(fd->get(), &address.generic, address.length);
  if (result == -1 && errno != EINPROGRESS && errno != EINTR) return failure(sys::make_error(errno));
  const std::uint8_t family = peer.address.is_v4() ? std::uint8_t{0} : epoll::v6;
  opened(socket, fd->release(), static_cast<std::uint8_t>(epoll::stream | epoll::connecting | family));
  SocketState::interest(socket) = Interest::writable;
  CompletionQueue::start(SocketState::operation(socket));
  if (result == 0) epoll::set(SocketState::ready(socket), epoll::writable);
  complete_if_ready(socket);
  if (CompletionQueue::started(SocketState::operation(socket))) park(socket);
  return {};
}

std::expected<void, ConnectFailure> EpollEngine::connect_result(Socket& socket) {
  STILE_ASSERT(socket.is_open() && !socket.pending());
  const int fd = socket.handle();
  std::optional<Error> error = connect_error(socket);
  std::optional<IcmpReport> icmp;
  if (error) {
    icmp = read_icmp_report(fd);
  } else {
    const Family family = (SocketState::flags(socket) & epoll::v6) != 0 ? Family::ipv6 : Family::ipv4;
    const auto cleared = sys::set_icmp_reports(fd, family, false);
    if (!cleared) error = cleared.error();
  }
  if (error) {
    give_up(socket);
    return std::unexpected(ConnectFailure{*error, icmp});
  }
  epoll::clear(SocketState::flags(socket), epoll::connecting);
  epoll::clear(SocketState::ready(socket), epoll::error);
  await_keepalive(socket);
  return {};
}

std::optional<Error> EpollEngine::connect_error(const Socket& socket) noexcept {
  if (SocketState::failure(socket) != 0) return SocketState::failure_error(socket);
  // Writable, and neither error nor hang-up: epoll has told already what SO_ERROR would.
  const std::uint8_t ready = SocketState::ready(socket);
  if ((ready & epoll::writable) != 0 && (ready & (epoll::error | epoll::short_read_proves_nothing)) == 0) {
    return std::nullopt;
  }
  int code = 0;
  socklen_t length = sizeof code;
  if (::getsockopt(socket.handle(), SOL_SOCKET, SO_ERROR, &code, &length) == -1) code = errno;
  return code == 0 ? std::nullopt : std::optional(sys::make_error(code));
}

Result<std::size_t> EpollEngine::receive(Socket& socket, MutableBytes into) {
  STILE_ASSERT(socket.is_open() && !into.empty());
  if (epoll::known_drained(socket, SocketState::flags(socket)) && SocketState::failure(socket) == 0) {
    return std::unexpected(Error{ErrorKind::would_block, EAGAIN});
  }
  std::uint8_t& ready = SocketState::ready(socket);
  const ssize_t count = sys::retry([&] { return ::recv(socket.handle(), into.data(), into.size(), 0); });
  if (count > 0) {
    const auto received = static_cast<std::size_t>(count);
    if (received < into.size() && (ready & epoll::short_read_proves_nothing) == 0) epoll::clear(ready, epoll::readable);
    return received;
  }
  if (count == -1) {
    const Error error = stream_error(socket, errno);
    if (error.kind != ErrorKind::would_block) return std::unexpected(error);
    epoll::clear(ready, epoll::readable);
    if (SocketState::failure(socket) == 0) return std::unexpected(error);
  }
  if (SocketState::failure(socket) != 0) return std::unexpected(SocketState::failure_error(socket));
  epoll::set(ready, epoll::readable | epoll::short_read_proves_nothing);
  return std::size_t{0};
}

Result<std::size_t> EpollEngine::send(Socket& socket, ConstBytes octets) {
  STILE_ASSERT(socket.is_open() && !octets.empty());
  const ssize_t count = sys::retry([&] { return ::send(socket.handle(), octets.data(), octets.size(), MSG_NOSIGNAL); });
  if (count == -1) {
    const Error error = stream_error(socket, errno);
    if (error.kind == ErrorKind::would_block) epoll::clear(SocketState::ready(socket), epoll::writable);
    return std::unexpected(error);
  }
  // The kernel has asked itself for an edge when there is room again (SOCK_NOSPACE) before it gives less than all.
  const auto sent = static_cast<std::size_t>(count);
  if (sent < octets.size()) epoll::clear(SocketState::ready(socket), epoll::writable);
  return sent;
}

Result<void> EpollEngine::shutdown_write(Socket& socket) {
  STILE_ASSERT(socket.is_open());
  if (::shutdown(socket.handle(), SHUT_WR) == -1) return std::unexpected(stream_error(socket, errno));
  return {};
}

void EpollEngine::abort(Socket& socket) noexcept {
  if (!socket.is_open()) return;
  STILE_ASSERT((SocketState::flags(socket) & epoll::adopted) == 0);
  (void)sys::set_reset_on_close(socket.handle());  // cannot fail on an open socket
  give_up(socket);
}

Result<Endpoint> EpollEngine::local_endpoint(const Socket& socket) const {
  sys::SocketAddress address;
  if (::getsockname(socket.handle(), &address.generic, &address.length) == -1) return last_error();
  return address.endpoint();
}

Result<Endpoint> EpollEngine::peer_endpoint(const Socket& socket) const {
  sys::SocketAddress address;
  if (::getpeername(socket.handle(), &address.generic, &address.length) == -1) return last_error();
  return address.endpoint();
}

std::optional<std::uint32_t> EpollEngine::peer_user(const Socket& socket) const noexcept {
  sys::SocketAddress address;
  if (::getsockname(socket.handle(), &address.generic, &address.length) == -1) return std::nullopt;
  if (address.generic.sa_family != AF_UNIX) return std::nullopt;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket.handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) == -1) return std::nullopt;
  return credentials.uid;
}

Result<Address> EpollEngine::source_towards(const Address& destination, const Egress* from) {
  return from == nullptr ? sys::source_towards(destination)
                         : sys::source_towards(destination, from->interface, from->mark);
}

}  // namespace stile::engine
