#include "sys/segmented_udp.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/assert.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"

namespace stile::sys {
namespace {

std::unexpected<Error> last_error() noexcept {
  return std::unexpected(make_error(errno));
}

/// One control message, aligned as the kernel wants it.
struct alignas(cmsghdr) Control {
  std::uint8_t octets[CMSG_SPACE(sizeof(int))] = {};
};

std::size_t segment_of(msghdr& header, std::size_t octets) noexcept {
  for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr; message = CMSG_NXTHDR(&header, message)) {
    if (message->cmsg_level != IPPROTO_UDP || message->cmsg_type != UDP_GRO) continue;
    int segment = 0;
    std::memcpy(&segment, CMSG_DATA(message), sizeof segment);
    if (segment > 0) return static_cast<std::size_t>(segment);
  }
  return octets;
}

}  // namespace

Result<UniqueFd> open_segmented_udp(const Endpoint& local) noexcept {
  UniqueFd fd{::socket(address_family(local.address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd.is_open()) return last_error();
  if (!local.address.is_v4()) {
    if (auto set = set_v6_only(fd.get()); !set) return std::unexpected(set.error());
  }
  constexpr int on = 1;
  if (::setsockopt(fd.get(), IPPROTO_UDP, UDP_GRO, &on, sizeof on) == -1) return last_error();
  const SocketAddress address{local};
  if (::bind(fd.get(), &address.generic, address.length) == -1) return last_error();
  return fd;
}

Result<void> send_segments(int fd, const Endpoint& peer, ConstBytes octets, std::size_t segment) noexcept {
  STILE_ASSERT(segment > 0 && octets.size() <= segmented_octets_max && octets.size() <= segment * segments_max);
  SocketAddress to{peer};
  // The kernel only reads it.
  iovec vector{const_cast<std::uint8_t*>(octets.data()), octets.size()};
  Control control;
  msghdr header{};
  header.msg_name = &to.generic;
  header.msg_namelen = to.length;
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (octets.size() > segment) {
    header.msg_control = control.octets;
    header.msg_controllen = CMSG_SPACE(sizeof(std::uint16_t));
    cmsghdr* const message = CMSG_FIRSTHDR(&header);
    message->cmsg_level = IPPROTO_UDP;
    message->cmsg_type = UDP_SEGMENT;
    message->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto size = static_cast<std::uint16_t>(segment);
    std::memcpy(CMSG_DATA(message), &size, sizeof size);
  }
  if (retry([&] { return ::sendmsg(fd, &header, MSG_NOSIGNAL); }) == -1) return last_error();
  return {};
}

Result<Segments> receive_segments(int fd, MutableBytes room) noexcept {
  SocketAddress from;
  iovec vector{room.data(), room.size()};
  Control control;
  msghdr header{};
  header.msg_name = &from.generic;
  header.msg_namelen = from.length;
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.octets;
  header.msg_controllen = sizeof control.octets;
  const ssize_t count = retry([&] { return ::recvmsg(fd, &header, 0); });
  if (count == -1) return last_error();
  from.length = header.msg_namelen;
  const auto octets = static_cast<std::size_t>(count);
  return Segments{.peer = from.endpoint(), .octets = octets, .segment = segment_of(header, octets)};
}

}  // namespace stile::sys
