// Datagrams on epoll, in batches and in trains.
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>

#include "base/limits.h"
#include "engine/epoll/epoll_engine.h"
#include "engine/epoll/epoll_flags.h"
#include "engine/epoll/error_queue.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"

namespace stile::engine {
namespace {

constexpr std::size_t messages_max = 64;

/// The kernel's headers for one batch to receive. Left as it is where nothing came: it is long.
struct Arrivals {
  struct alignas(cmsghdr) Control {
    std::array<std::uint8_t, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(std::uint32_t))> octets;
  };

  std::array<mmsghdr, messages_max> headers;
  std::array<iovec, messages_max> vectors;
  std::array<sockaddr_in6, messages_max> addresses;
  std::array<Control, messages_max> controls;

  void prepare(std::size_t index, const Datagram& room) noexcept {
    vectors[index] = iovec{room.payload.data(), room.payload.size()};
    msghdr& header = headers[index].msg_hdr;
    header.msg_name = &addresses[index];
    header.msg_namelen = sizeof addresses[index];
    header.msg_iov = &vectors[index];
    header.msg_iovlen = 1;
    header.msg_control = &controls[index];
    header.msg_controllen = sizeof controls[index];
    header.msg_flags = 0;
  }

  void tell(std::size_t index, Datagram& into) noexcept {
    msghdr& header = headers[index].msg_hdr;
    into.peer = sys::endpoint_of(&addresses[index], header.msg_namelen);
    into.truncated = (header.msg_flags & MSG_TRUNC) != 0;
    into.payload = into.payload.first(headers[index].msg_len);
    into.segment = 0;
    into.lost = 0;
    if (header.msg_controllen == 0) return;
    for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
      if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SO_RXQ_OVFL) {
        std::memcpy(&into.lost, CMSG_DATA(one), sizeof into.lost);
      } else if (one->cmsg_level == IPPROTO_UDP && one->cmsg_type == UDP_GRO) {
        int segment = 0;
        std::memcpy(&segment, CMSG_DATA(one), sizeof segment);
        if (static_cast<std::size_t>(segment) < into.payload.size()) into.segment = static_cast<std::size_t>(segment);
      }
    }
  }
};

[[nodiscard]] std::size_t size_of(const Datagram& datagram) noexcept {
  return datagram.head.size() + datagram.payload.size();
}

/// How many of those in front may leave as one train.
[[nodiscard]] std::size_t train_length(std::span<const Datagram> all, std::size_t segment_max) noexcept {
  const std::size_t segment = size_of(all.front());
  if (segment == 0 || segment > segment_max) return 1;
  const std::size_t most = std::min(all.size(), limits::udp_train_datagrams_max);
  std::size_t octets = segment;
  std::size_t count = 1;
  while (count < most) {
    const std::size_t size = size_of(all[count]);
    octets += size;
    if (size == 0 || size > segment || octets > limits::udp_payload_octets_max) break;
    if (all[count].peer != all.front().peer) break;
    ++count;
    if (size < segment) break;
  }
  return count;
}

/// The kernel's headers for one batch to send. A single datagram is pointed to. Those of a train are copied into one
/// piece: the kernel takes longer over many small vectors than the copy takes (docs/decisions/0006-datagram-trains.md).
class Departures {
 public:
  /// `room`: at least one train's.
  explicit Departures(MutableBytes room) noexcept : room_(room) {}

  [[nodiscard]] bool takes(std::size_t datagrams) const noexcept {
    return messages_ < messages_max && (datagrams == 1 || room_.size() >= limits::udp_payload_octets_max);
  }

  void add(std::span<const Datagram> train) noexcept {
    std::array<iovec, 2>& pieces = vectors_[messages_];
    std::size_t count = 0;
    if (train.size() == 1) {
      count = point_to(train.front(), pieces);
    } else {
      pieces[count++] = couple(train);
    }
    const sys::SocketAddress address{train.front().peer};
    std::memcpy(&addresses_[messages_], &address.generic, address.length);
    msghdr& header = headers_[messages_].msg_hdr;
    header = msghdr{};
    header.msg_name = &addresses_[messages_];
    header.msg_namelen = address.length;
    header.msg_iov = pieces.data();
    header.msg_iovlen = count;
    if (train.size() > 1) cut_into(header, controls_[messages_], size_of(train.front()));
    counts_[messages_++] = train.size();
  }

  [[nodiscard]] int send(int fd) noexcept {
    return sys::retry(
        [&] { return ::sendmmsg(fd, headers_.data(), static_cast<unsigned>(messages_), MSG_DONTWAIT | MSG_NOSIGNAL); });
  }

  /// Of the first messages.
  [[nodiscard]] std::size_t datagrams(std::size_t messages) const noexcept {
    return std::accumulate(counts_.begin(), counts_.begin() + static_cast<std::ptrdiff_t>(messages), std::size_t{0});
  }

 private:
  struct alignas(cmsghdr) Control {
    std::array<std::uint8_t, CMSG_SPACE(sizeof(std::uint16_t))> octets;
  };

  // Octets that follow those before are one piece with them.
  [[nodiscard]] static std::size_t point_to(const Datagram& datagram, std::array<iovec, 2>& pieces) noexcept {
    const iovec head{const_cast<std::uint8_t*>(datagram.head.data()), datagram.head.size()};
    const iovec payload{datagram.payload.data(), datagram.payload.size()};
    if (head.iov_len == 0) {
      pieces[0] = payload;
      return 1;
    }
    if (datagram.head.data() + head.iov_len == datagram.payload.data()) {
      pieces[0] = iovec{head.iov_base, head.iov_len + payload.iov_len};
      return 1;
    }
    pieces = {head, payload};
    return 2;
  }

  [[nodiscard]] iovec couple(std::span<const Datagram> train) noexcept {
    std::uint8_t* const front = room_.data();
    std::uint8_t* end = front;
    for (const Datagram& datagram : train) {
      end = std::ranges::copy(datagram.head, end).out;
      end = std::ranges::copy(datagram.payload, end).out;
    }
    const auto octets = static_cast<std::size_t>(end - front);
    room_ = room_.subspan(octets);
    return {front, octets};
  }

  static void cut_into(msghdr& header, Control& control, std::size_t segment) noexcept {
    const auto octets = static_cast<std::uint16_t>(segment);
    control = Control{};
    header.msg_control = &control;
    header.msg_controllen = sizeof control;
    cmsghdr* const one = CMSG_FIRSTHDR(&header);
    one->cmsg_level = IPPROTO_UDP;
    one->cmsg_type = UDP_SEGMENT;
    one->cmsg_len = CMSG_LEN(sizeof octets);
    std::memcpy(CMSG_DATA(one), &octets, sizeof octets);
  }

  std::array<mmsghdr, messages_max> headers_;
  MutableBytes room_;  // what is left of it
  std::array<std::array<iovec, 2>, messages_max> vectors_;
  std::array<sockaddr_in6, messages_max> addresses_;
  std::array<Control, messages_max> controls_;
  std::array<std::size_t, messages_max> counts_;
  std::size_t messages_ = 0;
};

/// EIO: the way out computes no checksums or encrypts. EINVAL, EMSGSIZE: the segments exceed the path's MTU, so that
/// each must be fragmented.
[[nodiscard]] bool may_refuse_trains(int errno_value) noexcept {
  return errno_value == EIO || errno_value == EINVAL || errno_value == EMSGSIZE;
}

}  // namespace

Result<void> EpollEngine::open_udp(Socket& socket, const Endpoint& local, const Egress* from) {
  STILE_ASSERT(!socket.is_open() && !socket.pending());
  sys::UniqueFd fd{::socket(sys::address_family(local.address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd.is_open()) return std::unexpected(sys::make_error(errno));
  if (!local.address.is_v4()) {
    if (auto set = sys::set_v6_only(fd.get()); !set) return set;
  }
  if (auto set = set_egress(fd.get(), local.address.family(), from); !set) return set;
  const sys::SocketAddress address{local};
  if (::bind(fd.get(), &address.generic, address.length) == -1) return std::unexpected(sys::make_error(errno));
  (void)sys::set_datagram_options(fd.get());  // without them it works all the same
  watch_of(fd.get()).segment_max = 0;
  opened(socket, fd.release(), 0);
  return {};
}

Result<void> EpollEngine::use_trains(Socket& socket) {
  STILE_ASSERT(socket.is_open());
  watch_of(socket.handle()).segment_max = UINT16_MAX;
  return sys::set_trains(socket.handle());
}

Result<std::size_t> EpollEngine::receive_datagrams(Socket& socket, std::span<Datagram> datagrams) {
  STILE_ASSERT(socket.is_open() && !datagrams.empty());
  Arrivals batch;
  const std::size_t wanted = std::min(datagrams.size(), messages_max);
  for (std::size_t i = 0; i < wanted; ++i) batch.prepare(i, datagrams[i]);
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
  for (std::size_t i = 0; i < received; ++i) batch.tell(i, datagrams[i]);
  if (received < wanted) epoll::clear(SocketState::ready(socket), epoll::readable);
  return received;
}

Result<std::size_t> EpollEngine::send_datagrams(Socket& socket, std::span<const Datagram> datagrams) {
  STILE_ASSERT(socket.is_open() && !datagrams.empty());
  if (trains_ == nullptr) trains_ = std::make_unique_for_overwrite<std::uint8_t[]>(limits::udp_batch_octets);
  Departures batch({trains_.get(), limits::udp_batch_octets});
  const std::size_t segment_max = watch_of(socket.handle()).segment_max;
  for (std::span<const Datagram> rest = datagrams; !rest.empty();) {
    const std::size_t count = train_length(rest, segment_max);
    if (!batch.takes(count)) break;
    batch.add(rest.first(count));
    rest = rest.subspan(count);
  }
  const int count = batch.send(socket.handle());
  if (count == -1) {
    const int why = errno;
    if (batch.datagrams(1) > 1 && may_refuse_trains(why)) return send_alone(socket, datagrams.front(), why);
    const Error error = sys::make_error(why);
    if (error.kind == ErrorKind::would_block) epoll::clear(SocketState::ready(socket), epoll::writable);
    return std::unexpected(error);
  }
  return batch.datagrams(static_cast<std::size_t>(count));
}

// What fails alone as well has its own reason for it.
Result<std::size_t> EpollEngine::send_alone(Socket& socket, const Datagram& first, int why) {
  auto sent = send_datagrams(socket, {&first, 1});
  if (sent) watch_of(socket.handle()).segment_max = why == EIO ? 0 : static_cast<std::uint16_t>(size_of(first) - 1);
  return sent;
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
