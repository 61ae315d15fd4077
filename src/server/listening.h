// Opening listeners: each as one descriptor for every worker, all of them before anybody is let in, so that a reload
// that cannot have one of its listeners changes nothing. One that the service manager has opened is taken from it.
// Blocking; main thread only. Tested in tests/e2e.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "config/listener.h"
#include "sys/account.h"
#include "sys/service_manager.h"
#include "sys/unique_fd.h"
#include "sys/unix_listener.h"

namespace stile::server {

/// A listener that is open, and where: a port of 0 was chosen by the kernel.
struct Bound {
  config::Listener listener;
  Endpoint endpoint;                                // of an IP listener
  std::shared_ptr<const sys::UnixListener> file{};  // of a Unix-domain one that is ours; its end removes the file

  /// Its name in records.
  [[nodiscard]] std::string where() const { return listener.is_unix() ? listener.where() : endpoint.to_string(); }
};

struct OpenedListener {
  Bound bound;
  std::vector<sys::UniqueFd> descriptors;  // one a worker
};

/// Why a listener is not open, and what to do about it (may be empty).
struct ListenRefusal {
  std::string what;
  std::string why;
  std::string cure;
  bool missing = false;  // this host has no such address
};

/// `given` are the sockets of the service manager: the one that stands where the listener does is taken out of them.
/// `becomes` is who the server will be, to whom socket files belong; absent: it stays who it is.
[[nodiscard]] std::expected<OpenedListener, ListenRefusal> open_listener(const config::Listener& listener,
                                                                         std::size_t workers,
                                                                         std::vector<sys::GivenSocket>& given,
                                                                         const std::optional<sys::Account>& becomes);

/// Where a socket of the service manager stands, as a listener would say it.
[[nodiscard]] std::string where(const sys::GivenSocket& given);

}  // namespace stile::server
