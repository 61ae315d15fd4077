#include "sys/socket_options.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <span>
#include <string_view>

#include "base/limits.h"
#include "sys/errno_table.h"

namespace stile::sys {
namespace {

struct Option {
  int level;
  int name;
  int value;
};

constexpr int seconds(std::chrono::seconds duration) {
  return static_cast<int>(duration.count());
}

constexpr Option early_stream_options[] = {
    // Relayed octets were held back once by their sender already; a second Nagle delay only adds to it.
    {IPPROTO_TCP, TCP_NODELAY, 1},
    // Urgent octets stay in the stream; otherwise each would be lost on its way through the relay.
    {SOL_SOCKET, SO_OOBINLINE, 1},
};

constexpr Option keepalive_options[] = {
    // A peer that vanished without FIN or RST must not hold a tunnel for ever: there is no idle limit by default.
    {SOL_SOCKET, SO_KEEPALIVE, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, seconds(limits::keepalive_idle)},
    {IPPROTO_TCP, TCP_KEEPINTVL, seconds(limits::keepalive_interval)},
    {IPPROTO_TCP, TCP_KEEPCNT, limits::keepalive_probes},
};

constexpr Option datagram_options[] = {
    {SOL_SOCKET, SO_RCVBUF, static_cast<int>(limits::udp_socket_octets)},
    {SOL_SOCKET, SO_SNDBUF, static_cast<int>(limits::udp_socket_octets)},
    {SOL_SOCKET, SO_RXQ_OVFL, 1},
};

Result<void> set(int fd, const Option& option) noexcept {
  if (::setsockopt(fd, option.level, option.name, &option.value, sizeof option.value) == -1) {
    return std::unexpected(make_error(errno));
  }
  return {};
}

Result<void> set_all(int fd, std::span<const Option> options) noexcept {
  for (const Option& option : options) {
    if (auto result = set(fd, option); !result) return result;
  }
  return {};
}

}  // namespace

Result<void> set_stream_options(int fd) noexcept {
  if (auto result = set_early_stream_options(fd); !result) return result;
  return set_keepalive(fd);
}

Result<void> set_early_stream_options(int fd) noexcept {
  return set_all(fd, early_stream_options);
}

Result<void> set_keepalive(int fd) noexcept {
  return set_all(fd, keepalive_options);
}

Result<void> set_datagram_options(int fd) noexcept {
  return set_all(fd, datagram_options);
}

Result<void> set_trains(int fd) noexcept {
  return set(fd, {IPPROTO_UDP, UDP_GRO, 1});
}

Result<void> set_v6_only(int fd) noexcept {
  return set(fd, {IPPROTO_IPV6, IPV6_V6ONLY, 1});
}

Result<void> set_reuse_address(int fd) noexcept {
  return set(fd, {SOL_SOCKET, SO_REUSEADDR, 1});
}

Result<void> set_reuse_port(int fd) noexcept {
  return set(fd, {SOL_SOCKET, SO_REUSEPORT, 1});
}

Result<void> set_free_bind(int fd, Family family) noexcept {
  return family == Family::ipv4 ? set(fd, {IPPROTO_IP, IP_FREEBIND, 1}) : set(fd, {IPPROTO_IPV6, IPV6_FREEBIND, 1});
}

Result<void> set_interface(int fd, const InterfaceName& interface) noexcept {
  const std::string_view name = interface.text();
  if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(), static_cast<socklen_t>(name.size() + 1)) == -1) {
    return std::unexpected(make_error(errno));
  }
  return {};
}

Result<void> set_mark(int fd, std::uint32_t mark) noexcept {
  return set(fd, {SOL_SOCKET, SO_MARK, static_cast<int>(mark)});
}

Result<void> set_fast_open_connect(int fd) noexcept {
  return set(fd, {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1});
}

Result<void> set_fast_open_listen(int fd, int connections_max) noexcept {
  return set(fd, {IPPROTO_TCP, TCP_FASTOPEN, connections_max});
}

Result<void> set_late_port(int fd) noexcept {
  return set(fd, {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1});
}

Result<void> set_icmp_reports(int fd, Family family, bool on) noexcept {
  return family == Family::ipv4 ? set(fd, {IPPROTO_IP, IP_RECVERR, on ? 1 : 0})
                                : set(fd, {IPPROTO_IPV6, IPV6_RECVERR, on ? 1 : 0});
}

Result<void> set_reset_on_close(int fd) noexcept {
  constexpr linger at_once{.l_onoff = 1, .l_linger = 0};
  if (::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == -1) {
    return std::unexpected(make_error(errno));
  }
  return {};
}

Result<UniqueFd> duplicate(const UniqueFd& descriptor) noexcept {
  UniqueFd copy{::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 0)};
  if (!copy.is_open()) return std::unexpected(make_error(errno));
  return copy;
}

}  // namespace stile::sys
