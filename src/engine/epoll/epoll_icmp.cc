// ICMP echo on epoll: over datagram sockets where the system grants them, else over raw sockets that were opened at the
// start (prepare_icmp).
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/limits.h"
#include "engine/epoll/epoll_engine.h"
#include "engine/epoll/epoll_flags.h"
#include "engine/epoll/error_queue.h"
#include "sys/errno_table.h"
#include "sys/icmp_socket.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"

namespace stile::engine {
namespace {

constexpr std::size_t header_octets = 8;              // type, code, checksum, identifier, sequence
constexpr std::size_t ip_header_octets_max = 60;      // before an IPv4 raw socket's packets
constexpr std::size_t payload_octets_max = 1024;      // of a reply; what is longer is cut
constexpr int packets_passed_over_per_call_max = 64;  // strangers' packets

std::unexpected<Error> os_error(int errno_value) noexcept {
  return std::unexpected(sys::make_error(errno_value));
}

Instant clock_now() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return Instant{std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec}};
}

/// RFC 1071. The kernel writes it itself into ICMPv6 messages and into those of datagram sockets.
std::uint16_t internet_checksum(ConstBytes octets) noexcept {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); i += 2) {
    sum += static_cast<std::uint32_t>(octets[i] << 8) | (i + 1 < octets.size() ? octets[i + 1] : 0u);
  }
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/// An echo message: a request of ours, its quotation in an error, or a reply.
struct EchoHeader {
  std::uint8_t type = 0;
  std::uint16_t identifier = 0;
  std::uint16_t sequence = 0;
};

std::optional<EchoHeader> read_header(ConstBytes octets) noexcept {
  ByteReader reader(octets);
  EchoHeader header;
  header.type = reader.u8();
  (void)reader.u8();
  (void)reader.u16();
  header.identifier = reader.u16();
  header.sequence = reader.u16();
  if (reader.short_of_input()) return std::nullopt;
  return header;
}

void put(MutableBytes at, std::uint16_t value) noexcept {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}

/// The TTL or hop limit that the packet had left.
std::uint8_t hops_left(msghdr& message) noexcept {
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    const bool v4 = one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_TTL;
    const bool v6 = one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_HOPLIMIT;
    if (!v4 && !v6) continue;
    int value = 0;
    std::memcpy(&value, CMSG_DATA(one), sizeof value);
    return static_cast<std::uint8_t>(value);
  }
  return 0;
}

}  // namespace

bool EpollEngine::prepare_icmp() {
  bool any = false;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    if (sys::open_datagram_icmp(family)) {
      any = true;
      continue;
    }
    for (std::size_t i = 0; i < limits::raw_icmp_sockets_max; ++i) {
      auto fd = sys::open_raw_icmp(family);
      if (!fd) break;
      raw_icmp_.push_back(RawIcmp{.fd = std::move(*fd), .family = family});
      any = true;
    }
  }
  return any;
}

Result<void> EpollEngine::open_icmp(Socket& socket, Family family) {
  STILE_ASSERT(!socket.is_open() && !socket.pending());
  auto fd = sys::open_datagram_icmp(family);
  if (fd) {
    // Bound to the unspecified address, it is given its identifier.
    const sys::SocketAddress any{Endpoint{family == Family::ipv4 ? Address{} : *Address::parse("::"), 0}};
    if (::bind(fd->get(), &any.generic, any.length) == -1) return os_error(errno);
    opened(socket, fd->release(), family == Family::ipv4 ? epoll::icmp : epoll::icmp | epoll::v6);
    return {};
  }
  if (fd.error().kind != ErrorKind::not_permitted) return std::unexpected(fd.error());
  bool all_lent = false;
  for (RawIcmp& raw : raw_icmp_) {
    if (raw.family != family) continue;
    all_lent = true;
    if (raw.lent) continue;
    raw.identifier = static_cast<std::uint16_t>(prng_.next());
    if (auto set = sys::admit_echo_replies(raw.fd.get(), family, raw.identifier); !set) return set;
    raw.lent = true;
    opened(socket, raw.fd.get(), family == Family::ipv4 ? epoll::icmp : epoll::icmp | epoll::v6);
    return {};
  }
  return all_lent ? os_error(EMFILE) : std::unexpected(fd.error());
}

EpollEngine::RawIcmp* EpollEngine::raw_icmp(int fd) noexcept {
  const auto found =
      std::ranges::find_if(raw_icmp_, [&](const RawIcmp& raw) { return raw.lent && raw.fd.get() == fd; });
  return found == raw_icmp_.end() ? nullptr : &*found;
}

bool EpollEngine::take_back_icmp(int fd) noexcept {
  RawIcmp* const raw = raw_icmp(fd);
  if (raw == nullptr) return false;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);         // fails where no wait ever parked
  (void)sys::admit_echo_replies(fd, raw->family, std::nullopt);  // else its queue fills once, and is passed over later
  raw->lent = false;
  return true;
}

Result<Instant> EpollEngine::send_echo(Socket& socket, const EchoProbe& probe) {
  STILE_ASSERT(socket.is_open() && probe.hops_max > 0 && probe.payload.size() <= limits::ping_payload_octets);
  const Family family = probe.to.family();
  const RawIcmp* const raw = raw_icmp(socket.handle());
  std::array<std::uint8_t, header_octets + limits::ping_payload_octets> packet{};
  packet[0] = family == Family::ipv4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
  if (raw != nullptr) put(MutableBytes(packet).subspan(4, 2), raw->identifier);
  put(MutableBytes(packet).subspan(6, 2), probe.sequence);
  std::ranges::copy(probe.payload, packet.begin() + header_octets);
  const ConstBytes octets = ConstBytes(packet).first(header_octets + probe.payload.size());
  if (raw != nullptr && family == Family::ipv4) put(MutableBytes(packet).subspan(2, 2), internet_checksum(octets));

  if (auto set = sys::set_hops_max(socket.handle(), family, probe.hops_max); !set) return std::unexpected(set.error());
  const sys::SocketAddress to{Endpoint{probe.to, 0}};
  const auto send = [&] {
    return ::sendto(socket.handle(), octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL, &to.generic, to.length);
  };
  const Instant before = clock_now();
  ssize_t sent = sys::retry(send);
  // An error that an earlier probe has met fails whatever call comes next, once.
  if (sent == -1 && errno != EAGAIN) sent = sys::retry(send);
  if (sent == -1) return os_error(errno);
  return before;
}

Result<EchoAnswer> EpollEngine::receive_echo(Socket& socket, MutableBytes room) {
  STILE_ASSERT(socket.is_open());
  const int fd = socket.handle();
  const RawIcmp* const raw = raw_icmp(fd);
  for (int passed_over = 0; passed_over < packets_passed_over_per_call_max; ++passed_over) {
    std::array<std::uint8_t, header_octets> quoted;
    if (const auto queued = epoll::read_error_queue(fd, quoted)) {
      const auto header = read_header(ConstBytes(quoted).first(queued->quoted));
      if (!header || (raw != nullptr && header->identifier != raw->identifier)) continue;
      return EchoAnswer{.from = queued->report.offender,
                        .probed = queued->peer.address,
                        .sequence = header->sequence,
                        .error = queued->report,
                        .at = queued->at};
    }
    auto reply = receive_echo_reply(socket, room);
    if (reply) return reply;
    if (reply.error().kind == ErrorKind::would_block) {
      epoll::clear(SocketState::ready(socket), epoll::readable);
      if (SocketState::failure(socket) != 0) return std::unexpected(SocketState::failure_error(socket));
      return std::unexpected(reply.error());
    }
    // A stranger's packet, or an error that the queue is about to explain.
  }
  return os_error(EAGAIN);
}

/// One packet; any error but would_block: it was none of ours.
Result<EchoAnswer> EpollEngine::receive_echo_reply(Socket& socket, MutableBytes room) {
  const RawIcmp* const raw = raw_icmp(socket.handle());
  const bool v6 = (SocketState::flags(socket) & epoll::v6) != 0;
  std::array<std::uint8_t, ip_header_octets_max + header_octets + payload_octets_max> packet;
  alignas(cmsghdr) std::uint8_t control[256];
  sys::SocketAddress from;
  iovec vector{packet.data(), packet.size()};
  msghdr message{};
  message.msg_name = &from.generic;
  message.msg_namelen = sizeof(sockaddr_in6);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t count = sys::retry([&] { return ::recvmsg(socket.handle(), &message, MSG_DONTWAIT); });
  if (count == -1) return os_error(errno);
  ConstBytes octets = ConstBytes(packet).first(static_cast<std::size_t>(count));
  if (raw != nullptr && !v6) {
    const std::size_t ip_header = octets.empty() ? 0 : std::size_t{octets[0] & 0x0Fu} * 4;
    octets = octets.subspan(std::min(ip_header, octets.size()));
  }
  const auto header = read_header(octets);
  const std::uint8_t expected = v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
  if (!header || header->type != expected || (raw != nullptr && header->identifier != raw->identifier)) {
    return os_error(EPROTO);
  }
  from.length = message.msg_namelen;
  const ConstBytes payload = octets.subspan(header_octets);
  const std::size_t size = std::min(payload.size(), room.size());
  std::copy_n(payload.begin(), size, room.begin());
  return EchoAnswer{.from = from.endpoint().address,
                    .probed = from.endpoint().address,
                    .sequence = header->sequence,
                    .ttl = hops_left(message),
                    .error = std::nullopt,
                    .payload = room.first(size),
                    .at = epoll::arrival_of(message)};
}

}  // namespace stile::engine
