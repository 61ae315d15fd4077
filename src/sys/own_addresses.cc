#include "sys/own_addresses.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/limits.h"
#include "sys/errno_table.h"

namespace stile::sys {
namespace {

constexpr std::size_t reply_octets = 32 * limits::KiB;  // what the kernel's dumps use at most per datagram

Result<UniqueFd> open_netlink(std::uint32_t groups, int extra_flags) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | extra_flags, NETLINK_ROUTE));
  if (!fd) return std::unexpected(make_error(errno));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return std::unexpected(make_error(errno));
  }
  return fd;
}

Result<void> request_dump(int fd, unsigned char family) {
  struct {
    nlmsghdr header;
    rtmsg route;
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg));
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.route.rtm_family = family;
  if (::send(fd, &request, request.header.nlmsg_len, 0) < 0) return std::unexpected(make_error(errno));
  return {};
}

bool is_loopback(const Cidr& route) {
  static const Cidr v4{Address::v4(127, 0, 0, 0), 8};
  return v4.contains(route) || route.to_string() == "::1/128" || route.to_string() == "::1";
}

// Adds the destination of one RTM_NEWROUTE message where it is a local one.
void add_local_route(const nlmsghdr& header, std::vector<Cidr>& routes) {
  const auto* const route = static_cast<const rtmsg*>(NLMSG_DATA(&header));
  if (route->rtm_type != RTN_LOCAL) return;
  auto left = static_cast<int>(header.nlmsg_len - NLMSG_LENGTH(sizeof(rtmsg)));
  for (const rtattr* attribute = RTM_RTA(route); RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != RTA_DST) continue;
    const auto* const octets = static_cast<const std::uint8_t*>(RTA_DATA(attribute));
    Cidr cidr;
    if (route->rtm_family == AF_INET && RTA_PAYLOAD(attribute) == 4) {
      cidr.base = Address::v4(std::span<const std::uint8_t, 4>(octets, 4));
    } else if (route->rtm_family == AF_INET6 && RTA_PAYLOAD(attribute) == 16) {
      cidr.base = Address::v6(std::span<const std::uint8_t, 16>(octets, 16));
    } else {
      continue;
    }
    cidr.length = route->rtm_dst_len;
    if (!is_loopback(cidr)) routes.push_back(cidr);
  }
}

// Reads one dump to its end. False in the result: the kernel interrupted it, ask again.
Result<void> read_dump(int fd, std::vector<Cidr>& routes) {
  alignas(nlmsghdr) std::array<char, reply_octets> buffer;
  while (true) {
    const ssize_t received = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return std::unexpected(make_error(errno));
    auto left = static_cast<unsigned>(received);
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR) {
        const auto* const error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
        return std::unexpected(make_error(-error->error));
      }
      if (header->nlmsg_type == RTM_NEWROUTE) add_local_route(*header, routes);
    }
  }
}

}  // namespace

Result<std::vector<Cidr>> own_addresses() {
  auto fd = open_netlink(0, 0);
  if (!fd) return std::unexpected(fd.error());
  std::vector<Cidr> routes;
  for (const unsigned char family : {static_cast<unsigned char>(AF_INET), static_cast<unsigned char>(AF_INET6)}) {
    if (auto asked = request_dump(fd->get(), family); !asked) return std::unexpected(asked.error());
    if (auto read = read_dump(fd->get(), routes); !read) return std::unexpected(read.error());
  }
  return routes;
}

Result<OwnAddressMonitor> OwnAddressMonitor::create() {
  auto fd =
      open_netlink(RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, SOCK_NONBLOCK);
  if (!fd) return std::unexpected(fd.error());
  return OwnAddressMonitor(std::move(*fd));
}

void OwnAddressMonitor::drain() noexcept {
  std::array<char, reply_octets> buffer;
  while (::recv(fd_.get(), buffer.data(), buffer.size(), 0) >= 0 || errno == EINTR || errno == ENOBUFS) {
  }
}

}  // namespace stile::sys
