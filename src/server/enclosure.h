// What a server gives up once it has all that it needs (security reference, section 6): the rights of root, files that
// its configuration does not name, programs, and the system calls that it never makes; its workers, which read what
// strangers send, more than the rest of it. Entered while there is one thread, then by each worker's thread.
// Refuses: to be left again. Tested in enclosure_test.cc, which enters it as a server does and tries what must fail,
// and in tests/e2e/sandbox_test.py.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "server/banner.h"
#include "sys/account.h"
#include "sys/landlock.h"
#include "sys/privileges.h"

namespace stile::server {

class Enclosure {
 public:
  /// `files` are all that the configuration was read from; what lies beside one of them may take its place. Fails where
  /// root started the server and the user that the configuration names is unknown.
  [[nodiscard]] static std::expected<Enclosure, Shortcoming> plan(const config::Config& config,
                                                                  const std::vector<std::string>& files);

  [[nodiscard]] bool is_off() const noexcept { return sandbox_ == config::Sandbox::off; }
  /// Whom the process becomes; absent: it stays who it is.
  [[nodiscard]] const std::optional<sys::Account>& account() const noexcept { return account_; }

  struct Entered {
    std::vector<Shortcoming> missing;  // what this system does not give
    std::string fact;                  // what holds, in a line
    bool may_go_on = true;
  };
  /// For the process: while it has one thread, and everything that needs more is open.
  [[nodiscard]] Entered enter() const;
  /// For the process that opens the resolver's files (sys/file_keeper.h).
  [[nodiscard]] bool enter_keeper() const;
  /// For the calling thread, in a process that has entered. Nothing: it has, or this system could not do more before.
  [[nodiscard]] std::optional<Shortcoming> enter_worker() const;
  [[nodiscard]] bool is_required() const noexcept { return sandbox_ == config::Sandbox::required; }

 private:
  Enclosure() = default;
  [[nodiscard]] Entered give_up(const std::vector<sys::FileGrant>& files, sys::Capabilities keeps) const;

  config::Sandbox sandbox_ = config::Sandbox::best_effort;
  std::optional<sys::Account> account_;
  std::string user_;  // as configured
  sys::Capabilities keeps_ = 0;
  std::vector<sys::FileGrant> process_files_;
  std::vector<sys::FileGrant> worker_files_;
};

}  // namespace stile::server
