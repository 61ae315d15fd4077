// Datagrams of a socket that is not connected: where they go, and whom they come from. Their octets are not looked at.
// Tested by tests/e2e/preload_udp_test.py.
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/loopback.h"
#include "preload/inside/libc.h"
#include "preload/inside/sockets.h"

namespace stile::preload::inside {
namespace {

constexpr unsigned messages_max = 1024;  // of one call, as the kernel's own bound (UIO_MAXIOV)

/// Where a datagram, or a stream that begins with data (MSG_FASTOPEN), really goes.
struct Route {
  bool direct = false;  // as the copy says
  int error = 0;
  Given door;
};

Route route(int fd, Called& called, int flags) noexcept {
  Route found{.door = give({}, AF_INET)};
  const SocketKind kind = kind_for(fd, called);
  if (kind.carried == Carried::other || stays_here(called.endpoint)) {
    found.direct = true;
  } else if (kind.carried == Carried::stream) {
    // Without the flag the kernel looks at no address of a stream's.
    found.direct = (flags & MSG_FASTOPEN) == 0;
    found.error = found.direct ? 0 : EOPNOTSUPP;
  } else if (kind.family == AF_INET && called.family() != AF_INET) {
    found.error = EAFNOSUPPORT;
  } else if (kind.carried == Carried::datagram) {
    Endpoint door;
    found.error = door_to(fd, kind, called.endpoint, door);
    found.door = give(door, kind.family);
  } else {
    found.error = EPERM;
  }
  return found;
}

/// A source address that the program asks for is not one of loopback.
bool is_source(const cmsghdr& one) noexcept {
  return (one.cmsg_level == IPPROTO_IP && one.cmsg_type == IP_PKTINFO) ||
         (one.cmsg_level == IPPROTO_IPV6 && one.cmsg_type == IPV6_PKTINFO);
}

bool names_a_source(msghdr& message) noexcept {
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (is_source(*one)) return true;
  }
  return false;
}

/// Copies the control messages that go with a datagram, but for its source, and puts the copies in their place. False:
/// they do not fit, or one claims to be longer than the list.
using ControlRoom = std::array<std::uint8_t, 512>;
bool leave_source_out(msghdr& message, ControlRoom& room) noexcept {
  std::size_t used = 0;
  const auto* const list = static_cast<const std::uint8_t*>(message.msg_control);
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (is_source(*one)) continue;
    const std::size_t size = one->cmsg_len;
    const auto at = static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(one) - list);
    if (size < sizeof *one || size > message.msg_controllen - at || size > room.size()) return false;
    if (CMSG_ALIGN(size) > room.size() - used) return false;
    std::memcpy(room.data() + used, one, size);
    used += CMSG_ALIGN(size);
  }
  message.msg_control = used == 0 ? nullptr : room.data();
  message.msg_controllen = used;
  return true;
}

ssize_t send_message(int fd, const msghdr* given, int flags) noexcept {
  if (given == nullptr || given->msg_name == nullptr) return libc().sendmsg(fd, given, flags);
  Called called;
  msghdr message = *given;
  if (!copy_called(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen, called)) {
    errno = EINVAL;
    return -1;
  }
  const Route way = route(fd, called, flags);
  if (way.error != 0) {
    errno = way.error;
    return -1;
  }
  message.msg_name = const_cast<sockaddr*>(way.direct ? called.generic() : way.door.generic());
  message.msg_namelen = way.direct ? called.length : way.door.length();
  alignas(cmsghdr) ControlRoom control;  // NOLINT: what is used of it is set
  if (!way.direct && names_a_source(message) && !leave_source_out(message, control)) {
    errno = EINVAL;
    return -1;
  }
  return libc().sendmsg(fd, &message, flags);
}

/// The kernel has written an address of `length` octets, as far as `room` goes.
void name_sender(int fd, sockaddr* address, socklen_t room, socklen_t length) noexcept {
  if (address == nullptr || std::min(room, length) < sizeof(sockaddr_in)) return;
  if (address->sa_family != AF_INET && address->sa_family != AF_INET6) return;
  if (address->sa_family == AF_INET6 && std::min(room, length) < sizeof(sockaddr_in6)) return;
  const Endpoint from = sys::endpoint_of(address, length);
  const SocketKind kind = is_loopback(from.address) ? kind_of(fd) : SocketKind{};
  if (kind.carried != Carried::datagram) return;
  const Endpoint sender = sender_behind(fd, from);
  if (sender != from) write_address(sender, kind.family, address, room, nullptr);
}

}  // namespace
}  // namespace stile::preload::inside

using namespace stile::preload::inside;  // NOLINT: the names below are not ours to choose

extern "C" {

ssize_t sendto(int fd, const void* octets, std::size_t size, int flags, const sockaddr* to, socklen_t length) {
  Called called;
  if (to == nullptr) return libc().sendto(fd, octets, size, flags, nullptr, 0);
  if (!copy_called(to, length, called)) {
    errno = EINVAL;
    return -1;
  }
  const Route way = route(fd, called, flags);
  if (way.error != 0) {
    errno = way.error;
    return -1;
  }
  if (way.direct) return libc().sendto(fd, octets, size, flags, called.generic(), called.length);
  return libc().sendto(fd, octets, size, flags, way.door.generic(), way.door.length());
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return send_message(fd, message, flags);
}

int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  unsigned sent = 0;
  for (; sent < std::min(count, messages_max); ++sent) {
    const ssize_t octets = send_message(fd, &messages[sent].msg_hdr, flags);
    if (octets < 0) return sent == 0 ? -1 : static_cast<int>(sent);
    messages[sent].msg_len = static_cast<unsigned>(octets);
  }
  return static_cast<int>(sent);
}

ssize_t recvfrom(int fd, void* octets, std::size_t size, int flags, sockaddr* from, socklen_t* length) {
  const socklen_t room = from == nullptr || length == nullptr ? 0 : *length;
  const ssize_t received = libc().recvfrom(fd, octets, size, flags, from, length);
  if (received >= 0 && room > 0) name_sender(fd, from, room, *length);
  return received;
}

ssize_t __recvfrom_chk(int fd, void* octets, std::size_t size, std::size_t capacity, int flags, sockaddr* from,
                       socklen_t* length) {
  const socklen_t room = from == nullptr || length == nullptr ? 0 : *length;
  const ssize_t received = libc().recvfrom_chk(fd, octets, size, capacity, flags, from, length);
  if (received >= 0 && room > 0) name_sender(fd, from, room, *length);
  return received;
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  const socklen_t room = message == nullptr || message->msg_name == nullptr ? 0 : message->msg_namelen;
  const ssize_t received = libc().recvmsg(fd, message, flags);
  if (received >= 0 && room > 0) name_sender(fd, static_cast<sockaddr*>(message->msg_name), room, message->msg_namelen);
  return received;
}

int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* longest) {
  std::array<socklen_t, messages_max> rooms;  // NOLINT: as many as are used are set
  const unsigned asked = std::min(count, messages_max);
  for (unsigned i = 0; i < asked; ++i) {
    rooms[i] = messages[i].msg_hdr.msg_name == nullptr ? 0 : messages[i].msg_hdr.msg_namelen;
  }
  const int received = libc().recvmmsg(fd, messages, asked, flags, longest);
  for (int i = 0; i < received; ++i) {
    msghdr& one = messages[i].msg_hdr;
    if (rooms[static_cast<unsigned>(i)] == 0) continue;
    name_sender(fd, static_cast<sockaddr*>(one.msg_name), rooms[static_cast<unsigned>(i)], one.msg_namelen);
  }
  return received;
}
}
