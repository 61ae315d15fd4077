// Names: nobody but the carrier is asked, and it answers with addresses that stand for them. Files of this host that
// name services and protocols are read as ever. Tested by tests/e2e/preload_test.py.
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/loopback.h"
#include "preload/inside/asking.h"
#include "preload/inside/libc.h"
#include "preload/inside/sockets.h"

namespace stile::preload::inside {
namespace {

/// At most two: an address of each family.
struct Addresses {
  int error = 0;  // an EAI_ number
  std::array<Address, 2> list;
  std::size_t count = 0;
};

ConstBytes octets_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Addresses addresses_of(const char* name, int family) noexcept {
  Addresses found;
  const std::string_view text(name);
  Heard heard;
  if (text.size() > message_text_octets_max) return {.error = EAI_NONAME};
  ask({.kind = Kind::name, .octets = octets_of(text)}, heard);
  if (heard.error == ENOENT) return {.error = EAI_NONAME};
  if (heard.error != 0) return {.error = EAI_AGAIN};
  for (const Address& one : {heard.answer.first.address, heard.answer.second.address}) {
    const bool wanted = family == AF_UNSPEC || family == sys::address_family(one);
    if (wanted && !one.is_unspecified()) found.list[found.count++] = one;
  }
  if (found.count == 0) found.error = EAI_NONAME;
  return found;
}

/// The C library's own list for an address: it needs nobody for that.
int list_address(const Address& address, const char* service, const addrinfo& hints, addrinfo** list) noexcept {
  char text[NI_MAXHOST];
  const Given given = give({address, 0}, sys::address_family(address));
  if (libc().getnameinfo(given.generic(), given.length(), text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) {
    return EAI_FAIL;
  }
  addrinfo own = hints;
  own.ai_flags = (hints.ai_flags & ~(AI_ADDRCONFIG | AI_CANONNAME)) | AI_NUMERICHOST;
  if (own.ai_family != AF_UNSPEC && own.ai_family != sys::address_family(address)) own.ai_family = AF_UNSPEC;
  return libc().getaddrinfo(text, service, &own, list);
}

int list_name(const char* name, const char* service, const addrinfo& hints, addrinfo** list) noexcept {
  const Addresses found = addresses_of(name, hints.ai_family);
  if (found.error != 0) return found.error;
  addrinfo** end = list;
  *list = nullptr;
  for (std::size_t i = 0; i < found.count; ++i) {
    if (const int error = list_address(found.list[i], service, hints, end); error != 0) {
      if (*list != nullptr) ::freeaddrinfo(*list);
      *list = nullptr;
      return error;
    }
    while (*end != nullptr) end = &(*end)->ai_next;
  }
  if ((hints.ai_flags & AI_CANONNAME) != 0 && ((*list)->ai_canonname = ::strdup(name)) == nullptr) {
    ::freeaddrinfo(*list);
    *list = nullptr;
    return EAI_MEMORY;
  }
  return 0;
}

bool name_behind(const Address& address, Heard& heard) noexcept {
  ask({.kind = Kind::address, .called = {address, 0}}, heard);
  return heard.error == 0 && !heard.answer.octets.empty();
}

// ── the older interface ─────────────────────────────────────────────────────────────────────────────────────────────

/// What a hostent points to: room of the caller's.
struct HostRoom {
  char* at;
  char* end;

  template <class Value>
  Value* take(std::size_t count) noexcept {
    const auto place = (reinterpret_cast<std::uintptr_t>(at) + alignof(Value) - 1) / alignof(Value) * alignof(Value);
    auto* const begin = reinterpret_cast<char*>(place);
    if (begin > end || count * sizeof(Value) > static_cast<std::size_t>(end - begin)) return nullptr;
    at = begin + count * sizeof(Value);
    return reinterpret_cast<Value*>(begin);
  }
};

bool fill_host(hostent& host, HostRoom room, std::string_view name, const Address& address) noexcept {
  const ConstBytes octets = address.octets();
  char** const lists = room.take<char*>(3);  // no aliases; one address, and the end
  char* const raw = room.take<char>(octets.size());
  char* const text = room.take<char>(name.size() + 1);
  if (lists == nullptr || raw == nullptr || text == nullptr) return false;
  std::memcpy(raw, octets.data(), octets.size());
  std::memcpy(text, name.data(), name.size());
  text[name.size()] = '\0';
  lists[0] = nullptr;
  lists[1] = raw;
  lists[2] = nullptr;
  host = {.h_name = text,
          .h_aliases = lists,
          .h_addrtype = sys::address_family(address),
          .h_length = static_cast<int>(octets.size()),
          .h_addr_list = lists + 1};
  return true;
}

/// As the functions that end in _r have it: an errno, and what went wrong with the name.
int find_host(const char* name, int family, hostent& host, HostRoom room, int* host_error) noexcept {
  std::optional<Address> literal;
  if (in_addr v4{}; ::inet_aton(name, &v4) != 0) {
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), &v4, sizeof v4);
    literal = Address::v4(octets);
  } else {
    literal = Address::parse(name);
  }
  Addresses found{.list = {literal.value_or(Address{})}, .count = literal ? std::size_t{1} : 0};
  if (!literal) found = addresses_of(name, family);
  if (found.count == 0 || sys::address_family(found.list[0]) != family) {
    *host_error = found.error == EAI_AGAIN ? TRY_AGAIN : HOST_NOT_FOUND;
    return found.error == EAI_AGAIN ? EAGAIN : ENOENT;
  }
  if (fill_host(host, room, name, found.list[0])) return 0;
  *host_error = NETDB_INTERNAL;
  return ERANGE;
}

int find_address(const void* octets, socklen_t size, int family, hostent& host, HostRoom room,
                 int* host_error) noexcept {
  std::optional<Address> address;
  if (family == AF_INET && size == 4) {
    std::array<std::uint8_t, 4> v4{};
    std::memcpy(v4.data(), octets, v4.size());
    address = Address::v4(v4);
  } else if (family == AF_INET6 && size == 16) {
    std::array<std::uint8_t, 16> v6{};
    std::memcpy(v6.data(), octets, v6.size());
    address = Address::v6(v6);
  }
  Heard heard;
  *host_error = HOST_NOT_FOUND;
  if (!address || !name_behind(*address, heard)) return ENOENT;
  const std::string_view name(reinterpret_cast<const char*>(heard.answer.octets.data()), heard.answer.octets.size());
  if (fill_host(host, room, name, *address)) return 0;
  *host_error = NETDB_INTERNAL;
  return ERANGE;
}

/// For those that answer in room of their own: one a thread.
struct OwnHost {
  hostent host;
  char room[NI_MAXHOST + 128];
  [[nodiscard]] HostRoom free() noexcept { return {room, room + sizeof room}; }
};
thread_local OwnHost own_host;

// ── the resolver's interface ────────────────────────────────────────────────────────────────────────────────────────

int ask_dns(const unsigned char* question, int size, unsigned char* answer, int room) noexcept {
  Heard heard;
  const bool fits = size > 0 && static_cast<std::size_t>(size) <= message_text_octets_max;
  if (fits) ask({.kind = Kind::dns, .octets = {question, static_cast<std::size_t>(size)}}, heard);
  if (!fits || heard.error != 0) {
    errno = fits ? ETIMEDOUT : EINVAL;
    return -1;
  }
  const ConstBytes octets = heard.answer.octets;
  std::memcpy(answer, octets.data(), std::min(octets.size(), static_cast<std::size_t>(std::max(room, 0))));
  return static_cast<int>(octets.size());
}

int ask_dns_for(const char* name, int kind, int type, unsigned char* answer, int room) noexcept {
  constexpr int header_octets = 12;
  unsigned char question[NS_PACKETSZ];
  const int size = libc().res_mkquery(ns_o_query, name, kind, type, nullptr, 0, nullptr, question, sizeof question);
  const int octets = size < 0 ? -1 : ask_dns(question, size, answer, room);
  h_errno = NO_RECOVERY;
  if (octets < header_octets || room < header_octets) return -1;
  const int code = answer[3] & 0xF;
  const bool any = answer[6] != 0 || answer[7] != 0;
  if (code == ns_r_noerror && any) return octets;
  if (code == ns_r_noerror) h_errno = NO_DATA;
  if (code == ns_r_nxdomain) h_errno = HOST_NOT_FOUND;
  return -1;
}

}  // namespace
}  // namespace stile::preload::inside

using namespace stile::preload::inside;  // NOLINT: the names below are not ours to choose

extern "C" {

int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** list) {
  const addrinfo none{.ai_flags = AI_ADDRCONFIG | AI_V4MAPPED};
  addrinfo own = hints == nullptr ? none : *hints;
  if (name == nullptr || (own.ai_flags & AI_NUMERICHOST) != 0) return libc().getaddrinfo(name, service, hints, list);
  own.ai_flags |= AI_NUMERICHOST;
  const int literal = libc().getaddrinfo(name, service, &own, list);
  if (literal != EAI_NONAME) return literal;
  return list_name(name, service, hints == nullptr ? none : *hints, list);
}

/// Lookups that go on by themselves.
int getaddrinfo_a(int, gaicb**, int, sigevent*) {
  errno = ENOSYS;
  return EAI_SYSTEM;
}

int getnameinfo(const sockaddr* address, socklen_t length, char* host, socklen_t room, char* service,
                socklen_t service_room, int flags) {
  Called called;
  const bool numeric = host == nullptr || room == 0 || (flags & NI_NUMERICHOST) != 0;
  if (numeric || !copy_called(address, length, called) || !called.is_internet()) {
    return libc().getnameinfo(address, length, host, room, service, service_room, flags);
  }
  Heard heard;
  std::string_view name = "localhost";
  if (!stile::is_loopback(called.endpoint.address)) {
    name = {};
    if (name_behind(called.endpoint.address, heard)) {
      name = {reinterpret_cast<const char*>(heard.answer.octets.data()), heard.answer.octets.size()};
    }
  }
  if (name.empty()) {
    if ((flags & NI_NAMEREQD) != 0) return EAI_NONAME;
    return libc().getnameinfo(address, length, host, room, service, service_room, flags | NI_NUMERICHOST);
  }
  if (name.size() + 1 > room) return EAI_OVERFLOW;
  if (service != nullptr && service_room > 0) {
    const int error = libc().getnameinfo(address, length, nullptr, 0, service, service_room, flags & ~NI_NAMEREQD);
    if (error != 0) return error;
  }
  std::memcpy(host, name.data(), name.size());
  host[name.size()] = '\0';
  return 0;
}

int gethostbyname2_r(const char* name, int family, hostent* host, char* room, std::size_t size, hostent** result,
                     int* host_error) {
  const int error = find_host(name, family, *host, {room, room + size}, host_error);
  *result = error == 0 ? host : nullptr;
  return error == ENOENT ? 0 : error;
}

int gethostbyname_r(const char* name, hostent* host, char* room, std::size_t size, hostent** result, int* host_error) {
  return gethostbyname2_r(name, AF_INET, host, room, size, result, host_error);
}

hostent* gethostbyname2(const char* name, int family) {
  const int error = find_host(name, family, own_host.host, own_host.free(), &h_errno);
  return error == 0 ? &own_host.host : nullptr;
}

hostent* gethostbyname(const char* name) {
  return gethostbyname2(name, AF_INET);
}

int gethostbyaddr_r(const void* octets, socklen_t size, int family, hostent* host, char* room, std::size_t capacity,
                    hostent** result, int* host_error) {
  const int error = find_address(octets, size, family, *host, {room, room + capacity}, host_error);
  *result = error == 0 ? host : nullptr;
  return error == ENOENT ? 0 : error;
}

hostent* gethostbyaddr(const void* octets, socklen_t size, int family) {
  const int error = find_address(octets, size, family, own_host.host, own_host.free(), &h_errno);
  return error == 0 ? &own_host.host : nullptr;
}

int res_send(const unsigned char* question, int size, unsigned char* answer, int room) noexcept {
  return ask_dns(question, size, answer, room);
}
int res_nsend(res_state, const unsigned char* question, int size, unsigned char* answer, int room) noexcept {
  return ask_dns(question, size, answer, room);
}
int res_query(const char* name, int kind, int type, unsigned char* answer, int room) noexcept {
  return ask_dns_for(name, kind, type, answer, room);
}
int res_search(const char* name, int kind, int type, unsigned char* answer, int room) noexcept {
  return ask_dns_for(name, kind, type, answer, room);
}
int res_nquery(res_state, const char* name, int kind, int type, unsigned char* answer, int room) noexcept {
  return ask_dns_for(name, kind, type, answer, room);
}
int res_nsearch(res_state, const char* name, int kind, int type, unsigned char* answer, int room) noexcept {
  return ask_dns_for(name, kind, type, answer, room);
}
int res_querydomain(const char* name, const char* domain, int kind, int type, unsigned char* answer,
                    int room) noexcept {
  char whole[NI_MAXHOST];
  const int size = std::snprintf(whole, sizeof whole, domain == nullptr ? "%s" : "%s.%s", name, domain);
  return size < 0 || size >= static_cast<int>(sizeof whole) ? -1 : ask_dns_for(whole, kind, type, answer, room);
}
int res_nquerydomain(res_state, const char* name, const char* domain, int kind, int type, unsigned char* answer,
                     int room) noexcept {
  return res_querydomain(name, domain, kind, type, answer, room);
}

// As programs that were linked to an older libresolv call them.
int __res_send(const unsigned char*, int, unsigned char*, int) noexcept __attribute__((alias("res_send")));
int __res_nsend(res_state, const unsigned char*, int, unsigned char*, int) noexcept __attribute__((alias("res_nsend")));
int __res_query(const char*, int, int, unsigned char*, int) noexcept __attribute__((alias("res_query")));
int __res_search(const char*, int, int, unsigned char*, int) noexcept __attribute__((alias("res_search")));
int __res_nquery(res_state, const char*, int, int, unsigned char*, int) noexcept __attribute__((alias("res_nquery")));
int __res_nsearch(res_state, const char*, int, int, unsigned char*, int) noexcept __attribute__((alias("res_nsearch")));
int __res_querydomain(const char*, const char*, int, int, unsigned char*, int) noexcept
    __attribute__((alias("res_querydomain")));
int __res_nquerydomain(res_state, const char*, const char*, int, int, unsigned char*, int) noexcept
    __attribute__((alias("res_nquerydomain")));

// Names of networks are known to few files, and to DNS.
netent* getnetbyname(const char*) {
  h_errno = HOST_NOT_FOUND;
  return nullptr;
}
netent* getnetbyaddr(std::uint32_t, int) {
  h_errno = HOST_NOT_FOUND;
  return nullptr;
}
int getnetbyname_r(const char*, netent*, char*, std::size_t, netent** result, int* host_error) {
  *result = nullptr;
  *host_error = HOST_NOT_FOUND;
  return 0;
}
int getnetbyaddr_r(std::uint32_t, int, netent*, char*, std::size_t, netent** result, int* host_error) {
  *result = nullptr;
  *host_error = HOST_NOT_FOUND;
  return 0;
}

// Calls that the C library would make by itself.
int rcmd(char**, unsigned short, const char*, const char*, const char*, int*) {
  errno = EACCES;
  return -1;
}
int rcmd_af(char**, unsigned short, const char*, const char*, const char*, int*, sa_family_t) {
  errno = EACCES;
  return -1;
}
int rexec(char**, int, const char*, const char*, const char*, int*) {
  errno = EACCES;
  return -1;
}
int rexec_af(char**, int, const char*, const char*, const char*, int*, sa_family_t) {
  errno = EACCES;
  return -1;
}
int ruserok(const char*, int, const char*, const char*) {
  errno = EACCES;
  return -1;
}
int ruserok_af(const char*, int, const char*, const char*, sa_family_t) {
  errno = EACCES;
  return -1;
}
int iruserok(std::uint32_t, int, const char*, const char*) {
  errno = EACCES;
  return -1;
}
int iruserok_af(const void*, int, const char*, const char*, sa_family_t) {
  errno = EACCES;
  return -1;
}
int rresvport(int*) {
  errno = EACCES;
  return -1;
}
int rresvport_af(int*, sa_family_t) {
  errno = EACCES;
  return -1;
}
int bindresvport(int, sockaddr_in*) noexcept {
  errno = EACCES;
  return -1;
}

/// The C library's own, where the host has no number of its own, asks for the address of the host's name: it is that of
/// 127.0.0.1.
long gethostid() {
  const int before = errno;
  std::int32_t number = 0x007F0100;
  const stile::sys::UniqueFd file(::open("/etc/hostid", O_RDONLY | O_CLOEXEC));
  std::int32_t own = 0;
  if (file.is_open() && ::read(file.get(), &own, sizeof own) == sizeof own) number = own;
  errno = before;
  return number;
}
}
