#include "sys/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/wait_any.h"

namespace stile::sys {
namespace {

constexpr int first_given = 3;
constexpr int given_max = 1024;
constexpr std::uint64_t watchdog_microseconds_max = 86'400'000'000;  // a day

/// The variable's value, which is then gone.
std::string taken(const char* name) {
  const char* const value = ::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

std::uint64_t number_in(const std::string& text) noexcept {
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && rest == text.data() + text.size() ? number : 0;
}

/// Set for another process where it names one that this is not.
bool is_for_us(const std::string& process) noexcept {
  return number_in(process) == static_cast<std::uint64_t>(::getpid());
}

UniqueFd connect_to(const std::string& where) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (where.size() < 2 || where.size() >= sizeof address.sun_path || (where[0] != '/' && where[0] != '@')) return {};
  std::memcpy(address.sun_path, where.data(), where.size());
  if (where[0] == '@') address.sun_path[0] = '\0';  // an abstract one, which ends without a NUL
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + where.size());
  UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket.is_open()) return {};
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(socket.get(), generic, length) != 0) return {};
  return socket;
}

int option_of(int descriptor, int level, int name) noexcept {
  int value = -1;
  socklen_t length = sizeof value;
  return ::getsockopt(descriptor, level, name, &value, &length) == 0 ? value : -1;
}

Result<GivenSocket> take(int descriptor, Wanted wanted) {
  GivenSocket given{.descriptor = UniqueFd(descriptor), .address = {}, .path = {}};
  const auto no_listener = std::unexpected(Error{.kind = ErrorKind::invalid, .os_code = EINVAL});
  const int type = wanted == Wanted::streams ? SOCK_STREAM : SOCK_SEQPACKET;
  if (option_of(descriptor, SOL_SOCKET, SO_TYPE) != type) return no_listener;
  if (option_of(descriptor, SOL_SOCKET, SO_ACCEPTCONN) != 1) return no_listener;
  if (::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(descriptor, F_SETFL, O_NONBLOCK) != 0) {
    return std::unexpected(make_error(errno));
  }
  const int family = option_of(descriptor, SOL_SOCKET, SO_DOMAIN);
  if (family == AF_UNIX) {
    sockaddr_un address{};
    socklen_t length = sizeof address;
    if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      return std::unexpected(make_error(errno));
    }
    const std::size_t octets = length - offsetof(sockaddr_un, sun_path);
    given.path = std::string(address.sun_path, ::strnlen(address.sun_path, octets));
    return given.path.empty() ? Result<GivenSocket>(no_listener) : std::move(given);
  }
  if (wanted != Wanted::streams) return no_listener;
  SocketAddress address;
  if (::getsockname(descriptor, &address.generic, &address.length) != 0) return std::unexpected(make_error(errno));
  given.address = address.endpoint();
  given.both_families = family == AF_INET6 && option_of(descriptor, IPPROTO_IPV6, IPV6_V6ONLY) == 0 &&
                        given.address.address.is_unspecified();
  if (family != AF_INET && family != AF_INET6) return no_listener;
  return given;
}

}  // namespace

Result<ServiceManager> ServiceManager::of_environment(Wanted wanted) {
  ServiceManager manager;
  const std::string notify = taken("NOTIFY_SOCKET");
  const std::string watchdog = taken("WATCHDOG_USEC");
  const std::string watched = taken("WATCHDOG_PID");
  const std::string sockets = taken("LISTEN_FDS");
  const std::string listener = taken("LISTEN_PID");
  taken("LISTEN_FDNAMES");
  if (!notify.empty()) manager.socket_ = connect_to(notify);
  const auto wait = std::chrono::microseconds(std::min(number_in(watchdog), watchdog_microseconds_max));
  if (wait.count() > 0 && (watched.empty() || is_for_us(watched))) manager.watchdog_ = wait;
  const auto count = static_cast<int>(std::min<std::uint64_t>(number_in(sockets), given_max));
  for (int i = 0; is_for_us(listener) && i < count; ++i) {
    auto given = take(first_given + i, wanted);
    if (!given) return std::unexpected(given.error());
    manager.sockets_.push_back(std::move(*given));
  }
  return manager;
}

void ServiceManager::tell(std::string_view text) const noexcept {
  if (!is_there()) return;
  static_cast<void>(
      retry([&] { return ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT); }));
}

void ServiceManager::ready(std::string_view status) const noexcept {
  tell("READY=1\nSTATUS=" + std::string(status));
}

void ServiceManager::reloading() const noexcept {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now());
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count()));
}

void ServiceManager::stopping(std::string_view status) const noexcept {
  tell("STOPPING=1\nSTATUS=" + std::string(status));
}

void ServiceManager::alive() const noexcept {
  tell("WATCHDOG=1");
}

}  // namespace stile::sys
