// The service manager that started this process, systemd or one that speaks as it does: told of its state by datagrams
// at NOTIFY_SOCKET (sd_notify(3)), asked for a sign of life within WATCHDOG_USEC (sd_watchdog_enabled(3)), given
// sockets that it has opened, from descriptor 3 on (LISTEN_FDS and LISTEN_PID, sd_listen_fds(3)). Where none of that is
// set there is none, and nothing is said. Refuses: to wait for it. Threading: one thread. Tested in
// service_manager_test.cc and tests/e2e/service_test.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "base/time.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// What a service wants to be given.
enum class Wanted : std::uint8_t {
  streams,  // TCP, and Unix-domain ones
  records,  // Unix-domain seqpacket ones (record_socket.h)
};

/// A listening socket that the service manager has opened.
struct GivenSocket {
  UniqueFd descriptor;
  Endpoint address;            // of an IP socket
  std::string path;            // of a Unix-domain one; empty for an IP socket
  bool both_families = false;  // an IPv6 socket that takes IPv4 as well
};

class ServiceManager {
 public:
  /// Reads what the environment says and takes it out of it, so that no program that this one starts speaks in its
  /// name. While there is one thread. Fails where a descriptor that was given is no listening socket of the kind that is
  /// wanted (invalid).
  [[nodiscard]] static Result<ServiceManager> of_environment(Wanted wanted = Wanted::streams);

  [[nodiscard]] bool is_there() const noexcept { return socket_.is_open(); }
  /// The sockets that nobody has taken.
  [[nodiscard]] std::vector<GivenSocket>& sockets() noexcept { return sockets_; }
  /// How long it waits for a sign of life; absent: it does not.
  [[nodiscard]] std::optional<Duration> watchdog() const noexcept { return watchdog_; }

  void ready(std::string_view status) const noexcept;
  void reloading() const noexcept;
  void stopping(std::string_view status) const noexcept;
  void alive() const noexcept;

 private:
  ServiceManager() = default;
  void tell(std::string_view text) const noexcept;

  UniqueFd socket_;
  std::optional<Duration> watchdog_;
  std::vector<GivenSocket> sockets_;
};

}  // namespace stile::sys
