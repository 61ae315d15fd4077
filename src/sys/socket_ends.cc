#include "sys/socket_ends.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {
namespace {

constexpr int netlink_level = 270;  // SOL_NETLINK, which not every sys/socket.h has

}  // namespace

Result<UniqueFd> open_socket_ends() noexcept {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG));
  if (!fd) return std::unexpected(make_error(errno));
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) {
    return std::unexpected(make_error(errno));
  }
  for (const int group : {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY}) {
    if (::setsockopt(fd.get(), netlink_level, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      return std::unexpected(make_error(errno));
    }
  }
  return fd;
}

Result<std::uint64_t> next_socket_end(int fd) noexcept {
  for (;;) {
    alignas(nlmsghdr) std::array<char, 2048> room;
    const ssize_t received = retry([&] { return ::recv(fd, room.data(), room.size(), MSG_DONTWAIT); });
    if (received < 0 && errno == ENOBUFS) continue;  // some are lost; what is there follows
    if (received < 0) return std::unexpected(make_error(errno));
    inet_diag_msg about;
    if (static_cast<std::size_t>(received) < NLMSG_LENGTH(sizeof about)) continue;
    std::memcpy(&about, NLMSG_DATA(room.data()), sizeof about);
    // Two halves, the lower one first, each in the host's order.
    return std::uint64_t{about.id.idiag_cookie[1]} << 32 | about.id.idiag_cookie[0];
  }
}

}  // namespace stile::sys
