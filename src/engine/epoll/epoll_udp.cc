// Datagrams on epoll, in batches.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "engine/epoll/epoll_engine.h"
#include "engine/epoll/epoll_flags.h"
#include "engine/epoll/error_queue.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"

namespace stile::engine {
namespace {

constexpr std::size_t batch_max = 64;

/// The kernel's headers for one batch; addresses and vectors are pointed to, never copied.
struct Batch {
  std::array<mmsghdr, batch_max> headers;
  std::array<iovec, batch_max> vectors;
  std::array<sys::SocketAddress, batch_max> addresses;

  void prepare(std::size_t index, const Datagram& datagram) noexcept {
    vectors[index] = iovec{datagram.payload.data(), datagram.payload.size()};
    msghdr& header = headers[index].msg_hdr;
    header = msghdr{};
    header.msg_name = &addresses[index].generic;
    header.msg_namelen = addresses[index].length;
    header.msg_iov = &vectors[index];
    header.msg_iovlen = 1;
  }
};

}  // namespace

Result<void> EpollEngine::open_udp(Socket& socket, const Endpoint& local) {
  STILE_ASSERT(!socket.is_open() && !socket.pending());
  sys::UniqueFd fd{::socket(sys::address_family(local.address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd.is_open()) return std::unexpected(sys::make_error(errno));
  if (!local.address.is_v4()) {
    if (auto set = sys::set_v6_only(fd.get()); !set) return set;
  }
  const sys::SocketAddress address{local};
  if (::bind(fd.get(), &address.generic, address.length) == -1) return std::unexpected(sys::make_error(errno));
  opened(socket, fd.release(), 0);
  return {};
}

Result<std::size_t> EpollEngine::receive_datagrams(Socket& socket, std::span<Datagram> datagrams) {
  STILE_ASSERT(socket.is_open() && !datagrams.empty());
  Batch batch;
  const std::size_t wanted = std::min(datagrams.size(), batch_max);
  for (std::size_t i = 0; i < wanted; ++i) {
    batch.addresses[i] = sys::SocketAddress{};
    batch.prepare(i, datagrams[i]);
  }
  const int count = sys::retry([&] {
    return ::recvmmsg(socket.handle(), batch.headers.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
  });
  if (count == -1) {
    const Error error = sys::make_error(errno);
    if (error.kind == ErrorKind::would_block) {
      epoll::clear(SocketState::ready(socket), epoll::readable);
      if (SocketState::failure(socket) != 0) return std::unexpected(SocketState::failure_error(socket));
    }
    return std::unexpected(error);
  }
  const auto received = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < received; ++i) {
    const msghdr& header = batch.headers[i].msg_hdr;
    batch.addresses[i].length = header.msg_namelen;
    datagrams[i].peer = batch.addresses[i].endpoint();
    datagrams[i].truncated = (header.msg_flags & MSG_TRUNC) != 0;
    datagrams[i].payload = datagrams[i].payload.first(batch.headers[i].msg_len);
  }
  if (received < wanted) epoll::clear(SocketState::ready(socket), epoll::readable);
  return received;
}

Result<std::size_t> EpollEngine::send_datagrams(Socket& socket, std::span<const Datagram> datagrams) {
  STILE_ASSERT(socket.is_open() && !datagrams.empty());
  Batch batch;
  const std::size_t wanted = std::min(datagrams.size(), batch_max);
  for (std::size_t i = 0; i < wanted; ++i) {
    batch.addresses[i] = sys::SocketAddress{datagrams[i].peer};
    batch.prepare(i, datagrams[i]);
  }
  const int count = sys::retry([&] {
    return ::sendmmsg(socket.handle(), batch.headers.data(), static_cast<unsigned>(wanted),
                      MSG_DONTWAIT | MSG_NOSIGNAL);
  });
  if (count == -1) {
    const Error error = sys::make_error(errno);
    if (error.kind == ErrorKind::would_block) epoll::clear(SocketState::ready(socket), epoll::writable);
    return std::unexpected(error);
  }
  return static_cast<std::size_t>(count);
}

Result<void> EpollEngine::keep_datagram_errors(Socket& socket) {
  STILE_ASSERT(socket.is_open());
  const auto local = local_endpoint(socket);
  if (!local) return std::unexpected(local.error());
  return sys::set_icmp_reports(socket.handle(), local->address.family(), true);
}

Result<DatagramError> EpollEngine::receive_datagram_error(Socket& socket) {
  STILE_ASSERT(socket.is_open());
  std::uint8_t& ready = SocketState::ready(socket);
  // A registered socket is told of each: asking in vain would cost every answer a system call.
  const bool told = (SocketState::flags(socket) & epoll::registered) != 0;
  if (!told || (ready & epoll::reports) != 0) {
    std::uint8_t octet = 0;  // what it quotes is of no interest
    if (const auto queued = epoll::read_error_queue(socket.handle(), {&octet, 1})) {
      return DatagramError{queued->peer, queued->report};
    }
    epoll::clear(ready, epoll::reports);
  }
  return std::unexpected(Error{ErrorKind::would_block, EAGAIN});
}

}  // namespace stile::engine
