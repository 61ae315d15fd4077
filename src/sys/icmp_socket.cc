#include "sys/icmp_socket.h"

#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>

#include "sys/errno_table.h"
#include "sys/socket_options.h"

namespace stile::sys {
namespace {

Result<void> set(int fd, int level, int name, int value) noexcept {
  if (::setsockopt(fd, level, name, &value, sizeof value) == -1) return std::unexpected(make_error(errno));
  return {};
}

Result<UniqueFd> open(Family family, int kind) noexcept {
  const bool v4 = family == Family::ipv4;
  const int protocol = v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  UniqueFd fd{::socket(v4 ? AF_INET : AF_INET6, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)};
  if (!fd.is_open()) return std::unexpected(make_error(errno));
  auto done = set_icmp_reports(fd.get(), family, true);
  if (done) done = v4 ? set(fd.get(), IPPROTO_IP, IP_RECVTTL, 1) : set(fd.get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
  if (done) done = set(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, 1);
  if (!done) return std::unexpected(done.error());
  return fd;
}

Result<void> attach(int fd, std::span<sock_filter> program) noexcept {
  const sock_fprog code{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &code, sizeof code) == -1) {
    return std::unexpected(make_error(errno));
  }
  return {};
}

constexpr sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
constexpr sock_filter accept_whole = BPF_STMT(BPF_RET | BPF_K, 0xFFFFFFFF);

}  // namespace

Result<UniqueFd> open_datagram_icmp(Family family) noexcept {
  return open(family, SOCK_DGRAM);
}

Result<UniqueFd> open_raw_icmp(Family family) noexcept {
  auto fd = open(family, SOCK_RAW);
  if (!fd) return fd;
  if (auto closed = admit_echo_replies(fd->get(), family, std::nullopt); !closed) {
    return std::unexpected(closed.error());
  }
  return fd;
}

// The kernel runs the program before it queues a packet, so that neither other programs' replies nor a flood take the
// socket's room. An IPv4 packet begins with its IP header there, an ICMPv6 message with its type.
Result<void> admit_echo_replies(int fd, Family family, std::optional<std::uint16_t> identifier) noexcept {
  if (!identifier) {
    std::array<sock_filter, 1> nothing{reject};
    return attach(fd, nothing);
  }
  if (family == Family::ipv4) {
    std::array<sock_filter, 7> program{{
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),  // X = length of the IP header
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_ECHOREPLY, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, *identifier, 0, 1),
        accept_whole,
        reject,
    }};
    return attach(fd, program);
  }
  std::array<sock_filter, 6> program{{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP6_ECHO_REPLY, 0, 3),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, *identifier, 0, 1),
      accept_whole,
      reject,
  }};
  return attach(fd, program);
}

Result<void> set_hops_max(int fd, Family family, std::uint8_t hops) noexcept {
  return family == Family::ipv4 ? set(fd, IPPROTO_IP, IP_TTL, hops) : set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops);
}

IcmpAccess icmp_access(Family family) noexcept {
  if (open_datagram_icmp(family)) return IcmpAccess::datagram;
  return open_raw_icmp(family) ? IcmpAccess::raw : IcmpAccess::none;
}

}  // namespace stile::sys
