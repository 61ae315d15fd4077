#include "sys/diverted_socket.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/limits.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/socket_options.h"

namespace stile::sys {
namespace {

// Of the kernel's linux/in.h and linux/in6.h, which do not go with netinet/in.h.
constexpr int ip_original_address = 20;
constexpr int ipv6_original_address = 74;
constexpr int ip_transparent = 19;
constexpr int ipv6_transparent = 75;
// Of linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h, one number.
constexpr int original_destination = 80;
// And of linux/icmp.h.
constexpr int level_raw = 255;
constexpr int icmp_filter = 1;
constexpr int echo_request_v4 = 8;

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

/// Room for what these sockets tell beside a datagram, its address, its hops and what was lost before it, and for what
/// they are told.
union Control {
  cmsghdr header;  // aligns it
  std::array<char, CMSG_SPACE(sizeof(sockaddr_in6)) + 2 * CMSG_SPACE(sizeof(std::uint32_t))> octets;
};
static_assert(sizeof(in6_pktinfo) <= sizeof(sockaddr_in6));

Endpoint called_endpoint(msghdr& message) noexcept {
  for (const cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(part))) {
    const bool v4 = part->cmsg_level == IPPROTO_IP && part->cmsg_type == ip_original_address;
    const bool v6 = part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == ipv6_original_address;
    if (v4 || v6) return endpoint_of(CMSG_DATA(part), v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      std::array<std::uint8_t, 16> octets;
      std::memcpy(octets.data(), &info.ipi6_addr, octets.size());
      return {Address::v6(octets), 0};
    }
  }
  return {};
}

std::uint8_t hops_of(msghdr& message) noexcept {
  for (const cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(part))) {
    const bool v4 = part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_TTL;
    const bool v6 = part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_HOPLIMIT;
    if (!v4 && !v6) continue;
    int hops = 0;
    std::memcpy(&hops, CMSG_DATA(part), sizeof hops);
    return static_cast<std::uint8_t>(hops);
  }
  return 0;
}

/// Of this network; `name` is what it has below /proc/sys/net.
bool write_setting(const char* name, const std::string& value) {
  const UniqueFd fd(::open((std::string("/proc/sys/net/") + name).c_str(), O_WRONLY | O_CLOEXEC));
  return fd && retry([&] { return ::write(fd.get(), value.data(), value.size()); }) > 0;
}

Result<void> make_transparent(int fd, const Address& local) noexcept {
  return local.is_v4() ? set(fd, IPPROTO_IP, ip_transparent) : set(fd, IPPROTO_IPV6, ipv6_transparent);
}

Result<UniqueFd> open_datagrams(const Endpoint& local, bool transparent) {
  auto fd = open_socket(local.address, SOCK_DGRAM);
  if (!fd) return fd;
  const bool v4 = local.address.is_v4();
  const int told = v4 ? ip_original_address : ipv6_original_address;
  Result<void> done;
  if (transparent) done = make_transparent(fd->get(), local.address);
  if (done) done = set(fd->get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, told);
  if (done) done = v4 ? set(fd->get(), IPPROTO_IP, IP_RECVTTL) : set(fd->get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
  if (done) done = set_datagram_options(fd->get());
  if (done) done = bind_to(fd->get(), local);
  if (!done) return std::unexpected(done.error());
  return fd;
}

template <class Info>
void put(cmsghdr& part, int level, int type, const Info& info) noexcept {
  part.cmsg_level = level;
  part.cmsg_type = type;
  part.cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(&part), &info, sizeof info);
}

Result<UniqueFd> open_echo_socket(Family family) {
  const bool v4 = family == Family::ipv4;
  const int protocol = v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) return last_error();
  if (v4) {
    const std::uint32_t kept_out = ~(1U << echo_request_v4);
    if (::setsockopt(fd.get(), level_raw, icmp_filter, &kept_out, sizeof kept_out) == -1) return last_error();
  } else {
    icmp6_filter filter{};
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REQUEST, &filter);
    if (::setsockopt(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) == -1) return last_error();
    for (const int told : {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT}) {
      if (auto done = set(fd.get(), IPPROTO_IPV6, told); !done) return std::unexpected(done.error());
    }
  }
  return fd;
}

// Looks at the mark alone (linux/filter.h): 0 of a packet's octets are taken, or all.
Result<void> hear_marked(int fd, std::uint32_t mark) noexcept {
  std::array<sock_filter, 4> filter{
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_MARK)),
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mark, 0, 1), BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
       BPF_STMT(BPF_RET | BPF_K, 0)}};
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == -1) return last_error();
  return {};
}

}  // namespace

Result<UniqueFd> open_diverted_listener(const Endpoint& local, bool reuse_port) {
  auto fd = open_socket(local.address, SOCK_STREAM);
  if (!fd) return fd;
  if (auto done = make_transparent(fd->get(), local.address); !done) return std::unexpected(done.error());
  if (auto done = set_stream_options(fd->get()); !done) return std::unexpected(done.error());
  if (reuse_port) {
    if (auto done = set(fd->get(), SOL_SOCKET, SO_REUSEPORT); !done) return std::unexpected(done.error());
  }
  if (auto done = bind_to(fd->get(), local); !done) return std::unexpected(done.error());
  if (::listen(fd->get(), SOMAXCONN) == -1) return last_error();
  return fd;
}

Result<Endpoint> translated_from(int fd, Family family) noexcept {
  SocketAddress address;
  const int level = family == Family::ipv4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6};
  if (::getsockopt(fd, level, original_destination, &address.generic, &address.length) == -1) return last_error();
  return address.endpoint();
}

Result<UniqueFd> open_arriving_stream(const Endpoint& from) {
  auto fd = open_socket(from.address, SOCK_STREAM);
  if (!fd) return fd;
  const std::uint32_t mark = arriving_mark;
  auto done = make_transparent(fd->get(), from.address);
  // The one who came before may have left a connection of the same name behind.
  if (done) done = set(fd->get(), SOL_SOCKET, SO_REUSEADDR);
  if (done && ::setsockopt(fd->get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) == -1) return last_error();
  if (done) done = set_early_stream_options(fd->get());
  if (done) done = bind_to(fd->get(), from);
  if (!done) return std::unexpected(done.error());
  return fd;
}

Result<void> connect_stream(int fd, const Endpoint& to) noexcept {
  const SocketAddress address(to);
  if (retry([&] { return ::connect(fd, &address.generic, address.length); }) == -1 && errno != EINPROGRESS) {
    return last_error();
  }
  return {};
}

Result<UniqueFd> open_addressed_datagrams(const Endpoint& local) {
  return open_datagrams(local, true);
}

Result<OwnDatagrams> open_own_datagrams(const Endpoint& local) {
  auto fd = open_datagrams(local, false);
  if (!fd) return std::unexpected(fd.error());
  SocketAddress bound;
  if (::getsockname(fd->get(), &bound.generic, &bound.length) == -1) return last_error();
  return OwnDatagrams{*std::move(fd), bound.endpoint()};
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
  return AddressedDatagram{.from = from.endpoint(),
                           .called = called_endpoint(message),
                           .octets = static_cast<std::size_t>(received),
                           .hops = hops_of(message)};
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

Result<UniqueFd> open_marked_echo_requests(Family family, std::uint32_t mark) {
  auto fd = open_echo_socket(family);
  if (!fd) return fd;
  if (auto done = hear_marked(fd->get(), mark); !done) return std::unexpected(done.error());
  return fd;
}

Result<UniqueFd> open_echo_requests(Family family) {
  auto fd = open_echo_socket(family);
  if (!fd) return fd;
  const bool v4 = family == Family::ipv4;
  const bool silent = write_setting(v4 ? "ipv4/icmp_echo_ignore_all" : "ipv6/icmp/echo_ignore_all", "1");
  const std::string group = std::to_string(::getegid());
  (void)write_setting("ipv4/ping_group_range", group + " " + group);
  if (!silent) return std::unexpected(make_error(EPERM));
  return fd;
}

Result<AddressedDatagram> receive_echo_request(int fd, Family family, MutableBytes room) noexcept {
  auto received = receive_addressed(fd, room);
  if (!received || family == Family::ipv6) return received;
  // An IPv4 packet comes with its header.
  constexpr std::size_t header_octets_min = 20;
  const std::size_t header = received->octets == 0 ? 0 : static_cast<std::size_t>(room[0] & 0x0F) * 4;
  if (header < header_octets_min || header > received->octets) return AddressedDatagram{};
  std::array<std::uint8_t, 4> called;
  std::copy_n(room.begin() + 16, called.size(), called.begin());
  received->called.address = Address::v4(called);
  received->hops = room[8];
  received->octets -= header;
  std::memmove(room.data(), room.data() + header, received->octets);
  return received;
}

Result<UniqueFd> open_packet_source(Family family) {
  const int domain = family == Family::ipv4 ? AF_INET : AF_INET6;
  UniqueFd fd(::socket(domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));  // headers come with it
  if (!fd) return last_error();
  return fd;
}

Result<void> send_packet(int fd, const Address& to, ConstBytes packet) noexcept {
  const SocketAddress address(Endpoint{to, 0});
  if (retry([&] {
        return ::sendto(fd, packet.data(), packet.size(), MSG_DONTWAIT, &address.generic, address.length);
      }) < 0) {
    return last_error();
  }
  return {};
}

}  // namespace stile::sys
