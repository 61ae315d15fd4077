// What the outside may ask of a running server; admin/ sees nothing else of it. Any thread; calls block until they are
// answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "auth/users.h"
#include "config/config.h"
#include "protect/tls.h"
#include "route/upstreams.h"

namespace stile::server {

/// A new configuration is in force, for everybody at once.
struct Reloaded {
  std::uint64_t generation = 0;    // 0: that of the start
  std::size_t ended = 0;           // sessions that it does not allow
  std::size_t kept = 0;            // sessions that live on
  std::vector<std::string> notes;  // what takes effect only at the next start
};

/// Nothing has changed.
struct ReloadRefusal {
  bool bad_configuration = false;     // else the server could not do it
  std::vector<std::string> messages;  // never empty; "FILE:LINE:COLUMN: message" where there is a place
};

class Control {
 public:
  virtual ~Control() = default;
  [[nodiscard]] virtual std::expected<Reloaded, ReloadRefusal> reload() = 0;
};

/// Something that asks things of a running server: opened while the server may still open anything, at work from
/// `begin` on until it ends.
class Attendant {
 public:
  virtual ~Attendant() = default;
  virtual void begin() = 0;
};

/// What each listener that speaks TLS needs for it, by the files that it names.
using TlsServers = std::map<config::Tls, std::shared_ptr<const protect::TlsServer>>;

/// All that a server is told, at the start and with each reload.
struct Configuration {
  config::Config config;
  std::shared_ptr<const auth::Users> users;  // those of the file that it names; absent where it names none
  TlsServers tls;
  route::UpstreamPlans upstreams;
  std::vector<std::string> files;  // all that was read for it
};

/// Reads the configuration again, as it was read for the start: file, environment and flags, the users and the
/// certificates, checked in every way.
using LoadConfiguration = std::function<std::expected<Configuration, std::vector<std::string>>()>;

}  // namespace stile::server
