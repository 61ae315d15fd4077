#include "sys/diverted_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/limits.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"

namespace stile::sys {
namespace {

// As the kernel has them; netinet/in.h of glibc 2.36 lacks the second.
constexpr int ip_transparent = 19;
constexpr int ipv6_transparent = 75;

std::unexpected<Error> last_error() noexcept {
  return std::unexpected(make_error(errno));
}

Result<void> set(int fd, int level, int option) noexcept {
  const int on = 1;
  if (::setsockopt(fd, level, option, &on, sizeof on) == -1) return last_error();
  return {};
}

Result<UniqueFd> open_socket(const Address& address, int type) noexcept {
  UniqueFd fd(::socket(address_family(address), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return last_error();
  if (!address.is_v4()) {
    if (auto done = set_v6_only(fd.get()); !done) return std::unexpected(done.error());
  }
  return fd;
}

Result<void> bind_to(int fd, const Endpoint& local) noexcept {
  const SocketAddress address(local);
  if (::bind(fd, &address.generic, address.length) == -1) return last_error();
  return {};
}

/// Room for the one control message that these sockets give and take.
union Control {
  cmsghdr header;  // aligns it
  std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> octets;
};

Address called_address(msghdr& message) noexcept {
  for (const cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(part))) {
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      std::array<std::uint8_t, 4> octets;
      std::memcpy(octets.data(), &info.ipi_addr, octets.size());
      return Address::v4(octets);
    }
    if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      std::array<std::uint8_t, 16> octets;
      std::memcpy(octets.data(), &info.ipi6_addr, octets.size());
      return Address::v6(octets);
    }
  }
  return {};
}

template <class Info>
void put(cmsghdr& part, int level, int type, const Info& info) noexcept {
  part.cmsg_level = level;
  part.cmsg_type = type;
  part.cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(&part), &info, sizeof info);
}

}  // namespace

Result<UniqueFd> open_diverted_listener(const Endpoint& local) {
  auto fd = open_socket(local.address, SOCK_STREAM);
  if (!fd) return fd;
  const bool v4 = local.address.is_v4();
  if (auto done = set(fd->get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? ip_transparent : ipv6_transparent); !done) {
    return std::unexpected(done.error());
  }
  if (auto done = set_stream_options(fd->get()); !done) return std::unexpected(done.error());
  if (auto done = bind_to(fd->get(), local); !done) return std::unexpected(done.error());
  if (::listen(fd->get(), SOMAXCONN) == -1) return last_error();
  return fd;
}

Result<UniqueFd> open_addressed_datagrams(const Endpoint& local) {
  auto fd = open_socket(local.address, SOCK_DGRAM);
  if (!fd) return fd;
  const bool v4 = local.address.is_v4();
  if (auto done = set(fd->get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO); !done) {
    return std::unexpected(done.error());
  }
  if (auto done = bind_to(fd->get(), local); !done) return std::unexpected(done.error());
  return fd;
}

Result<AddressedDatagram> receive_addressed(int fd, MutableBytes room) noexcept {
  SocketAddress from;
  Control control{};
  iovec part{.iov_base = room.data(), .iov_len = room.size()};
  msghdr message{};
  message.msg_name = &from.v6;
  message.msg_namelen = from.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.octets.data();
  message.msg_controllen = control.octets.size();
  const ssize_t received = retry([&] { return ::recvmsg(fd, &message, MSG_DONTWAIT); });
  if (received < 0) return last_error();
  from.length = message.msg_namelen;
  return AddressedDatagram{
      .from = from.endpoint(), .called = called_address(message), .octets = static_cast<std::size_t>(received)};
}

Result<void> answer_addressed(int fd, const Address& called, const Endpoint& to, ConstBytes octets) noexcept {
  SocketAddress address(to);
  Control control{};
  iovec part{.iov_base = const_cast<std::uint8_t*>(octets.data()), .iov_len = octets.size()};
  msghdr message{};
  message.msg_name = &address.generic;
  message.msg_namelen = address.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.octets.data();
  if (called.is_v4()) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, called.octets().data(), called.octets().size());
    put(control.header, IPPROTO_IP, IP_PKTINFO, info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, called.octets().data(), called.octets().size());
    put(control.header, IPPROTO_IPV6, IPV6_PKTINFO, info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  }
  if (retry([&] { return ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); }) < 0) return last_error();
  return {};
}

}  // namespace stile::sys
