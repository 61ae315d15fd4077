// connect, and what a program asks of a socket that it has connected. A stream's own connect goes to the carrier's
// place, and ends when the carrier meets it; nothing of it is in user space, so the program may wait for it as it
// likes. Tested by tests/e2e/preload_test.py.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/loopback.h"
#include "preload/inside/asking.h"
#include "preload/inside/libc.h"
#include "preload/inside/sockets.h"

namespace stile::preload::inside {
namespace {

// Of the kernel's linux/tcp.h.
constexpr int fast_open_connect = 30;

int fail(int error) noexcept {
  errno = error;
  return -1;
}

/// Where other processes look names up for whoever asks (threat TW5).
constexpr std::array<std::string_view, 5> asking_paths{"/run/systemd/resolve/", "/run/nscd/", "/var/run/nscd/",
                                                       "/run/avahi-daemon/", "/var/run/avahi-daemon/"};

bool looks_names_up(const Called& called) noexcept {
  constexpr std::size_t head = offsetof(sockaddr_un, sun_path);
  if (called.length <= head) return false;
  const char* const path = reinterpret_cast<const char*>(&called.copy) + head;
  const std::string_view text(path, ::strnlen(path, called.length - head));
  return std::ranges::any_of(asking_paths, [&](std::string_view one) { return text.starts_with(one); });
}

std::uint8_t state_of(int fd) noexcept {
  tcp_info info{};
  socklen_t length = sizeof info;
  return libc().getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_state : std::uint8_t{TCP_CLOSE};
}

bool is_connected(int fd, Endpoint& peer) noexcept {
  const int before = errno;
  sys::SocketAddress address;
  const bool connected = libc().getpeername(fd, &address.generic, &address.length) == 0;
  if (connected) peer = address.endpoint();
  errno = before;
  return connected;
}

/// Why a connect came to nothing, in the carrier's words; `otherwise` where it has none.
int verdict(int fd, int otherwise) noexcept {
  Endpoint local;
  Endpoint peer;
  if (!local_of(fd, local) || (is_connected(fd, peer) && !is_loopback(peer.address))) return otherwise;
  Heard heard;
  ask({.kind = Kind::about, .local = local, .called = peer}, heard);
  if (heard.error == 0 || heard.error == EINPROGRESS) return otherwise;
  if (heard.answer.first.port != 0) return heard.error;
  // Nobody tells: one that was met to be refused is connected no longer.
  return otherwise == 0 && !is_connected(fd, peer) ? ECONNRESET : otherwise;
}

/// Ready to connect anew, as the kernel has it.
void dissolve(int fd) noexcept {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  (void)libc().connect(fd, &none, sizeof none);
}

/// One that is under way, or over: the kernel tells.
int ask_again(int fd, const SocketKind& kind, const Endpoint& within) noexcept {
  const Given any = give(within, kind.family);
  if (libc().connect(fd, any.generic(), any.length()) == 0) {
    const int error = verdict(fd, 0);
    return error == 0 ? 0 : fail(error);
  }
  const int error = errno;
  return fail(error == ECONNRESET ? verdict(fd, error) : error);
}

/// The program's socket does not block while this lives.
class Unblocked {
 public:
  explicit Unblocked(int fd) noexcept : fd_(fd), flags_(::fcntl(fd, F_GETFL)) {
    if (blocks()) (void)::fcntl(fd_, F_SETFL, flags_ | O_NONBLOCK);
  }
  Unblocked(const Unblocked&) = delete;
  Unblocked& operator=(const Unblocked&) = delete;
  ~Unblocked() {
    if (blocks()) (void)::fcntl(fd_, F_SETFL, flags_);
  }
  [[nodiscard]] bool blocks() const noexcept { return (flags_ & O_NONBLOCK) == 0; }

 private:
  int fd_;
  int flags_;
};

/// Sets out; EINPROGRESS where the program's socket waits to be met.
int set_out(int fd, const SocketKind& kind, const Endpoint& called, Endpoint& place, bool& blocks) noexcept {
  const int off = 0;
  (void)libc().setsockopt(fd, IPPROTO_TCP, fast_open_connect, &off, sizeof off);  // it would wait for the first octets
  Endpoint local;
  if (!bind_within(fd, kind, local)) return errno;
  const WithoutCancellation whole;
  Heard heard;
  ask({.kind = Kind::stream, .local = local, .called = called}, heard);
  if (heard.error != 0) return heard.error;
  place = heard.answer.first;
  const Given given = give(place, kind.family);
  const Unblocked unblocked(fd);
  blocks = unblocked.blocks();
  const int error = libc().connect(fd, given.generic(), given.length()) == 0 ? EISCONN : errno;
  // A child that another thread has forked meanwhile may have the link as well: to close it would not end it.
  (void)::shutdown(heard.link.get(), SHUT_RDWR);
  return error;
}

int connect_stream(int fd, const SocketKind& kind, const Endpoint& called) noexcept {
  constexpr Endpoint anywhere{Address::v4(127, 0, 0, 1), 9};
  if (is_for_many(called.address)) return fail(ENETUNREACH);
  // A resolver of this host would ask for us.
  if (is_loopback(called.address)) return fail(ECONNREFUSED);
  if (state_of(fd) != TCP_CLOSE) return ask_again(fd, kind, anywhere);
  int pending = 0;
  socklen_t length = sizeof pending;
  if (libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &length) == 0 && pending != 0) {
    const int came = verdict(fd, pending);
    dissolve(fd);
    return fail(came);
  }
  dissolve(fd);
  Endpoint place;
  bool blocks = false;
  const int error = set_out(fd, kind, called, place, blocks);
  if (error != EINPROGRESS || !blocks) return fail(error);
  const Given given = give(place, kind.family);
  const int result = libc().connect(fd, given.generic(), given.length());
  // Its time is over (SO_SNDTIMEO): so it is said at the first time of asking.
  if (result != 0 && errno == EALREADY) errno = EINPROGRESS;
  if (result != 0 && errno != ECONNRESET && errno != EISCONN) return result;
  // Met to be refused, it was connected for a moment.
  const int came = verdict(fd, result == 0 || errno == EISCONN ? 0 : errno);
  if (came == 0) return 0;
  dissolve(fd);
  return fail(came);
}

int connect_datagram(int fd, const SocketKind& kind, const Endpoint& called) noexcept {
  Endpoint door;
  if (const int error = door_to(fd, kind, called, door); error != 0) return fail(error);
  const Given given = give(door, kind.family);
  return libc().connect(fd, given.generic(), given.length());
}

int connect_it(int fd, const sockaddr* address, socklen_t length) noexcept {
  Called called;
  if (!copy_called(address, length, called)) return fail(address == nullptr ? EFAULT : EINVAL);
  if (called.family() == AF_UNIX && looks_names_up(called)) return fail(ENOENT);
  const SocketKind kind = called.is_internet() ? kind_of(fd) : SocketKind{};
  const bool direct = kind.carried == Carried::other || stays_here(called.endpoint);
  if (direct) return libc().connect(fd, called.generic(), called.length);
  const bool mixed = called.family() != kind.family;
  if (mixed && (kind.family == AF_INET || kind.carried == Carried::stream)) return fail(EAFNOSUPPORT);
  switch (kind.carried) {
    case Carried::stream:
      return connect_stream(fd, kind, called.endpoint);
    case Carried::datagram:
      return connect_datagram(fd, kind, called.endpoint);
    case Carried::other:
    case Carried::unfit:
      break;
  }
  return fail(EPERM);
}

/// Within this host: to the carrier, where it is one of those that are carried.
bool calls_within(int fd, Endpoint& peer) noexcept {
  return is_connected(fd, peer) && is_loopback(peer.address);
}

int error_of(int fd, int value) noexcept {
  const SocketKind kind = kind_of(fd);
  if (kind.carried != Carried::stream || (value != 0 && value != ECONNRESET)) return value;
  Endpoint peer;
  if (value == 0 && (state_of(fd) == TCP_SYN_SENT || !calls_within(fd, peer))) return value;
  return verdict(fd, value);
}

}  // namespace
}  // namespace stile::preload::inside

using namespace stile::preload::inside;  // NOLINT: the names below are not ours to choose

extern "C" {

int connect(int fd, const sockaddr* address, socklen_t length) {
  return connect_it(fd, address, length);
}

int __connect(int fd, const sockaddr* address, socklen_t length) {
  return connect_it(fd, address, length);
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
  const int result = libc().getsockopt(fd, level, name, value, length);
  if (result != 0 || level != SOL_SOCKET || name != SO_ERROR || value == nullptr || *length < sizeof(int))
    return result;
  int error = 0;
  std::memcpy(&error, value, sizeof error);
  const int before = errno;
  error = error_of(fd, error);
  errno = before;
  std::memcpy(value, &error, sizeof error);
  return result;
}

int getpeername(int fd, sockaddr* address, socklen_t* length) noexcept {
  stile::Endpoint peer;
  const int before = errno;
  if (address == nullptr || length == nullptr || !calls_within(fd, peer)) {
    errno = before;
    return libc().getpeername(fd, address, length);
  }
  const SocketKind kind = kind_of(fd);
  stile::Endpoint meant = peer;
  if (kind.carried == Carried::datagram) {
    meant = sender_behind(fd, peer);
  } else if (stile::Endpoint local; kind.carried == Carried::stream && local_of(fd, local)) {
    Heard heard;
    ask({.kind = stile::preload::Kind::about, .local = local, .called = peer}, heard);
    if (heard.error == 0) meant = heard.answer.first;
  }
  errno = before;
  write_address(meant, kind.family, address, *length, length);
  return 0;
}

int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  Called called;
  if (!copy_called(address, length, called)) return libc().bind(fd, address, length);
  const SocketKind kind = kind_for(fd, called);
  const bool ours = kind.carried == Carried::stream || kind.carried == Carried::datagram;
  if (!ours || stile::is_loopback(called.endpoint.address)) return libc().bind(fd, called.generic(), called.length);
  const Given place = give(within(fd, kind, called.endpoint), kind.family);
  return libc().bind(fd, place.generic(), place.length());
}

int listen(int fd, int backlog) noexcept {
  const SocketKind kind = kind_of(fd);
  stile::Endpoint local;
  if (kind.carried == Carried::stream && !bind_within(fd, kind, local)) return -1;
  return libc().listen(fd, backlog);
}

/// To join a group is to tell the network so.
int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
  constexpr std::array v4{IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP};
  constexpr std::array v6{IPV6_JOIN_GROUP, IPV6_JOIN_ANYCAST, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP};
  const bool joins = (level == IPPROTO_IP && std::ranges::find(v4, name) != v4.end()) ||
                     (level == IPPROTO_IPV6 && std::ranges::find(v6, name) != v6.end());
  return joins ? fail(ENODEV) : libc().setsockopt(fd, level, name, value, length);
}

/// What no proxy carries is not opened: raw and packet sockets, ICMP, SCTP, other networks.
int socket(int family, int type, int protocol) noexcept {
  const int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (family == AF_INET || family == AF_INET6) {
    const bool stream = kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
    const bool datagram = kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);
    if (!stream && !datagram) return fail(kind == SOCK_RAW || kind == SOCK_DGRAM ? EPERM : EPROTONOSUPPORT);
  } else if (family == AF_PACKET) {
    return fail(EPERM);
  } else if (family != AF_UNIX && family != AF_NETLINK && family != AF_ALG) {
    return fail(EAFNOSUPPORT);
  }
  return libc().socket(family, type, protocol);
}
}
