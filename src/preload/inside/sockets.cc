#include "preload/inside/sockets.h"

#include <netinet/in.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/loopback.h"
#include "preload/inside/asking.h"
#include "preload/inside/libc.h"

namespace stile::preload::inside {
namespace {

constexpr std::uint16_t name_port = 53;
// Of the kernel's linux/in.h, which does not go with netinet/in.h.
constexpr int bind_address_no_port = 24;
// A sockaddr_in6 without its scope, as RFC 2133 had it, and the kernel takes it still.
constexpr socklen_t short_v6_octets = 24;

bool option(int fd, int level, int name, int& value) noexcept {
  socklen_t length = sizeof value;
  return libc().getsockopt(fd, level, name, &value, &length) == 0;
}

Address loopback_of(int family) noexcept {
  constexpr std::uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return family == AF_INET ? Address::v4(127, 0, 0, 1) : Address::v6(one);
}

bool takes_v6_alone(int fd) noexcept {
  int alone = 0;
  return option(fd, IPPROTO_IPV6, IPV6_V6ONLY, alone) && alone != 0;
}

/// What the carrier said of datagrams a short while ago, so that not each of them is asked for. A place that is taken
/// by another thread, or by what a signal has interrupted, is passed over.
class Memory {
 public:
  struct Entry {
    Endpoint local;
    Endpoint key;
    Endpoint value;
    bool outward = false;
    std::time_t until = 0;
  };
  bool recall(bool outward, const Endpoint& local, const Endpoint& key, Endpoint& value) noexcept {
    Slot& slot = slot_of(outward, local, key);
    if (slot.taken.test_and_set(std::memory_order_acquire)) return false;
    const Entry& entry = slot.entry;
    const bool known = entry.until >= now() && entry.outward == outward && entry.local == local && entry.key == key;
    if (known) value = entry.value;
    slot.taken.clear(std::memory_order_release);
    return known;
  }
  void keep(bool outward, const Endpoint& local, const Endpoint& key, const Endpoint& value) noexcept {
    Slot& slot = slot_of(outward, local, key);
    if (slot.taken.test_and_set(std::memory_order_acquire)) return;
    slot.entry = {.local = local, .key = key, .value = value, .outward = outward, .until = now() + seconds};
    slot.taken.clear(std::memory_order_release);
  }

 private:
  static constexpr std::size_t slots = 64;
  static constexpr std::time_t seconds = 30;  // far less than the carrier keeps a door that is not used

  struct Slot {
    std::atomic_flag taken;
    Entry entry;
  };
  static std::time_t now() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return time.tv_sec;
  }
  Slot& slot_of(bool outward, const Endpoint& local, const Endpoint& key) noexcept {
    std::size_t hash = outward ? 1 : 0;
    for (const std::uint8_t octet : key.address.octets()) hash = hash * 31 + octet;
    return slots_[((hash * 31 + key.port) * 31 + local.port) % slots];
  }

  Slot slots_[slots];
};

constinit Memory memory;

}  // namespace

SocketKind kind_of(int fd) noexcept {
  const int before = errno;
  SocketKind kind;
  int type = 0;
  int protocol = 0;
  if (option(fd, SOL_SOCKET, SO_DOMAIN, kind.family) && (kind.family == AF_INET || kind.family == AF_INET6) &&
      option(fd, SOL_SOCKET, SO_TYPE, type) && option(fd, SOL_SOCKET, SO_PROTOCOL, protocol)) {
    const bool stream = type == SOCK_STREAM && protocol == IPPROTO_TCP;
    const bool datagram = type == SOCK_DGRAM && protocol == IPPROTO_UDP;
    kind.carried = stream ? Carried::stream : datagram ? Carried::datagram : Carried::unfit;
  }
  errno = before;
  return kind;
}

bool copy_called(const sockaddr* address, socklen_t length, Called& called) noexcept {
  if (address == nullptr || length < sizeof called.copy.ss_family || length > sizeof called.copy) return false;
  std::memcpy(&called.copy, address, length);
  called.length = length;
  if (!called.is_internet()) return true;
  if (length < (called.family() == AF_INET ? sizeof(sockaddr_in) : short_v6_octets)) return false;
  // What is left out is nothing.
  if (called.family() == AF_INET6) called.length = std::max<socklen_t>(length, sizeof(sockaddr_in6));
  called.endpoint = sys::endpoint_of(&called.copy, called.length);
  return true;
}

SocketKind kind_for(int fd, Called& called) noexcept {
  // As the kernel has it for datagrams, and for bind.
  const bool unsaid = called.family() == AF_UNSPEC && called.length >= sizeof(sockaddr_in);
  const SocketKind kind = called.is_internet() || unsaid ? kind_of(fd) : SocketKind{};
  if (unsaid && kind.family == AF_INET) {
    called.copy.ss_family = AF_INET;
    called.endpoint = sys::endpoint_of(&called.copy, called.length);
  }
  return kind;
}

bool stays_here(const Endpoint& called) noexcept {
  return called.port != name_port && (is_loopback(called.address) || called.address.is_unspecified());
}

bool is_for_many(const Address& called) noexcept {
  const std::uint8_t first = called.octets()[0];
  if (!called.is_v4()) return first == 0xFF;
  return (first & 0xF0) == 0xE0 || called == Address::v4(255, 255, 255, 255);
}

Given give(const Endpoint& endpoint, int family) noexcept {
  Given given{sys::SocketAddress(endpoint)};
  if (family != AF_INET6 || !endpoint.address.is_v4()) return given;
  const std::uint32_t v4 = given.address.v4.sin_addr.s_addr;
  const in_port_t port = given.address.v4.sin_port;
  given.address.v6 = sockaddr_in6{};
  given.address.v6.sin6_family = AF_INET6;
  given.address.v6.sin6_port = port;
  std::uint8_t* const octets = given.address.v6.sin6_addr.s6_addr;
  octets[10] = octets[11] = 0xFF;
  std::memcpy(octets + 12, &v4, sizeof v4);
  given.address.length = sizeof(sockaddr_in6);
  return given;
}

Endpoint within(int fd, const SocketKind& kind, const Endpoint& asked) noexcept {
  // A socket of both families has one address here: that of the one that every host has.
  const bool both = kind.family == AF_INET6 && asked.address.is_unspecified() && !takes_v6_alone(fd);
  const bool v4 = kind.family == AF_INET || both || asked.address.is_v4();
  // "::" comes out of an Address as what it is; "0.0.0.0" for an IPv6 socket is mapped, and IPv4.
  return {loopback_of(v4 ? AF_INET : AF_INET6), asked.port};
}

bool local_of(int fd, Endpoint& local) noexcept {
  sys::SocketAddress address;
  if (::getsockname(fd, &address.generic, &address.length) != 0) return false;
  local = address.endpoint();
  // Bound to all addresses it sends to one of loopback, and from one.
  const bool v6 = address.generic.sa_family == AF_INET6 && takes_v6_alone(fd);
  if (local.address.is_unspecified()) local.address = loopback_of(v6 ? AF_INET6 : AF_INET);
  return local.port != 0;
}

bool bind_within(int fd, const SocketKind& kind, Endpoint& local) noexcept {
  // A stream whose last connection has ended may tell a port that is not its own any longer.
  if (kind.carried == Carried::datagram && local_of(fd, local)) return true;
  const int before = errno;
  const int off = 0;
  (void)libc().setsockopt(fd, IPPROTO_IP, bind_address_no_port, &off, sizeof off);
  // One that speaks IPv6 alone does so for no reason that would matter here.
  if (kind.family == AF_INET6) (void)libc().setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  const bool alone = kind.family == AF_INET6 && takes_v6_alone(fd);
  const Given place = give({loopback_of(alone ? AF_INET6 : AF_INET), 0}, kind.family);
  const bool bound = libc().bind(fd, place.generic(), place.length()) == 0 || errno == EINVAL;  // it was already
  if (!bound || !local_of(fd, local)) return false;
  errno = before;
  return true;
}

Endpoint sender_behind(int fd, const Endpoint& from) noexcept {
  Endpoint local;
  Endpoint sender;
  const int before = errno;
  if (!is_loopback(from.address) || !local_of(fd, local)) return from;
  if (memory.recall(false, local, from, sender)) return sender;
  Heard heard;
  ask({.kind = Kind::sender, .local = local, .called = from}, heard);
  sender = heard.error == 0 ? heard.answer.first : from;
  if (heard.error == 0 || heard.error == ENOENT) memory.keep(false, local, from, sender);
  errno = before;
  return sender;
}

int door_to(int fd, const SocketKind& kind, const Endpoint& called, Endpoint& door) noexcept {
  Endpoint local;
  if (is_for_many(called.address)) return ENETUNREACH;
  if (!bind_within(fd, kind, local)) return errno;
  if (memory.recall(true, local, called, door)) return 0;
  Heard heard;
  ask({.kind = Kind::datagram, .local = local, .called = called}, heard);
  if (heard.error != 0) return heard.error;
  door = heard.answer.first;
  memory.keep(true, local, called, door);
  return 0;
}

void write_address(const Endpoint& endpoint, int family, sockaddr* into, socklen_t room, socklen_t* length) noexcept {
  const Given given = give(endpoint, family);
  if (into != nullptr) std::memcpy(into, given.generic(), std::min(room, given.length()));
  if (length != nullptr) *length = given.length();
}

}  // namespace stile::preload::inside
