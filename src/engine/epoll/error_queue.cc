#include "engine/epoll/error_queue.h"

#include <linux/errqueue.h>
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>

#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"

namespace stile::engine::epoll {
namespace {

Duration clock_reading(clockid_t clock) noexcept {
  timespec time{};
  ::clock_gettime(clock, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

/// What the control message says, if it is an ICMP message's record.
std::optional<QueuedError> icmp_record(const cmsghdr& control) noexcept {
  const bool v4 = control.cmsg_level == IPPROTO_IP && control.cmsg_type == IP_RECVERR;
  const bool v6 = control.cmsg_level == IPPROTO_IPV6 && control.cmsg_type == IPV6_RECVERR;
  if (!v4 && !v6) return std::nullopt;
  sock_extended_err record{};
  std::memcpy(&record, CMSG_DATA(&control), sizeof record);
  if (record.ee_origin != SO_EE_ORIGIN_ICMP && record.ee_origin != SO_EE_ORIGIN_ICMP6) return std::nullopt;
  // The sender's address follows the record (SO_EE_OFFENDER).
  const auto room = static_cast<socklen_t>(control.cmsg_len - CMSG_LEN(sizeof record));
  const Endpoint offender = sys::endpoint_of(CMSG_DATA(&control) + sizeof record, room);
  return QueuedError{.report = {record.ee_origin == SO_EE_ORIGIN_ICMP ? Family::ipv4 : Family::ipv6, record.ee_type,
                                record.ee_code, offender.address},
                     .error = sys::make_error(static_cast<int>(record.ee_errno))};
}

}  // namespace

std::optional<QueuedError> read_error_queue(int fd, MutableBytes quoted) noexcept {
  for (;;) {
    alignas(cmsghdr) std::uint8_t control[512];
    sys::SocketAddress peer;
    iovec payload{quoted.data(), quoted.size()};
    msghdr message{};
    message.msg_name = &peer.generic;
    message.msg_namelen = sizeof(sockaddr_in6);
    message.msg_iov = &payload;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t count = sys::retry([&] { return ::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT); });
    if (count == -1) return std::nullopt;
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
      auto found = icmp_record(*one);
      if (!found) continue;
      peer.length = message.msg_namelen;
      if (message.msg_namelen != 0) found->peer = peer.endpoint();
      found->at = arrival_of(message);
      found->quoted = static_cast<std::size_t>(count);
      return found;
    }
  }
}

Instant arrival_of(const msghdr& message) noexcept {
  const Instant present{clock_reading(CLOCK_MONOTONIC)};
  // CMSG_NXTHDR wants a message that it could write to.
  auto* const walked = const_cast<msghdr*>(&message);
  for (cmsghdr* one = CMSG_FIRSTHDR(walked); one != nullptr; one = CMSG_NXTHDR(walked, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(one), sizeof stamp);
    const Duration arrived = std::chrono::seconds{stamp.tv_sec} + std::chrono::nanoseconds{stamp.tv_nsec};
    // The stamp is of the wall clock, which may have been set meanwhile: more than a moment ago is not believed.
    const Duration age = clock_reading(CLOCK_REALTIME) - arrived;
    return age > Duration::zero() && age < std::chrono::seconds{1} ? present - age : present;
  }
  return present;
}

}  // namespace stile::engine::epoll
