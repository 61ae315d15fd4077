#include "server/helper_unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "observe/diagnostics.h"
#include "server/helper_plan.h"
#include "sys/account.h"
#include "sys/errno_table.h"
#include "sys/main_loop.h"
#include "sys/privileges.h"
#include "sys/process.h"
#include "sys/record_socket.h"
#include "sys/service_manager.h"
#include "sys/wait_any.h"

namespace stile::server {
namespace {

constexpr std::string_view how_to_start =
    "start stile-helper.socket, or try systemd-socket-activate --seqpacket --listen=/run/stile-helper.sock stile "
    "helper "
    "--config FILE";

bool holds(const std::vector<std::uint32_t>& users, std::uint32_t user) {
  return std::ranges::find(users, user) != users.end();
}

class HelperUnit {
 public:
  explicit HelperUnit(const config::Config& config) : config_(config), plan_(plan_helper(config)) {}
  int run();

 private:
  bool prepare();
  bool know_servers();
  void serve();
  void admit();
  void turn_away(std::optional<std::uint32_t> user);
  void begin(sys::UniqueFd connection);
  void bury();

  const config::Config& config_;
  const auth::HelperPlan plan_;
  observe::Diagnostics diagnostics_;
  std::optional<sys::ServiceManager> manager_;
  std::optional<sys::SignalQueue> signals_;
  sys::UniqueFd listening_;
  std::vector<std::uint32_t> servers_;    // users
  std::vector<std::uint32_t> strangers_;  // users that were told
  std::vector<sys::Process> helpers_;     // one a connection
};

int HelperUnit::run() {
  if (!prepare()) return 1;
  manager_->ready("waiting for servers");
  serve();
  manager_->stopping("ending");
  return 0;  // the processes end with this one
}

bool HelperUnit::prepare() {
  for (const AuthMethod method : {AuthMethod::pam, AuthMethod::gssapi}) {
    const auto missing = not_built_in(config_, method);
    if (!missing) continue;
    diagnostics_.error(missing->what, missing->why, missing->cure);
    return false;
  }
  auto manager = sys::ServiceManager::of_environment(sys::Wanted::records);
  if (!manager) {
    diagnostics_.error("cannot start", "what the service manager passed is no listening Unix-domain seqpacket socket",
                       "ListenSequentialPacket= in its socket unit, and Accept=no");
    return false;
  }
  manager_ = std::move(*manager);
  if (manager_->sockets().size() != 1) {
    diagnostics_.error("cannot start",
                       manager_->sockets().empty() ? "no socket was passed to it" : "one socket is enough",
                       how_to_start);
    return false;
  }
  listening_ = std::move(manager_->sockets().front().descriptor);
  if (!know_servers()) return false;
  auto signals = sys::SignalQueue::create({SIGTERM, SIGINT});
  if (!signals) {
    diagnostics_.error("cannot start", "the kernel gives no descriptors", "raise the limit of open files");
    return false;
  }
  signals_ = std::move(*signals);
  sys::hide_memory();
  return true;
}

// Root may ask whatever it likes anyway, and who is this process's user could be this process.
bool HelperUnit::know_servers() {
  servers_ = {0, sys::own_user()};
  const auto account = sys::account_named(config_.user);
  if (account) {
    servers_.push_back(account->user);
    return true;
  }
  if (!config_.origins.contains("user")) return true;
  diagnostics_.error(fmt::format("cannot serve the user '{}'", config_.user), "/etc/passwd has no such name",
                     "add that user, or name another with `user`");
  return false;
}

void HelperUnit::serve() {
  while (!signals_->next()) {
    bury();
    // Whoever comes when there are enough waits in the socket's queue.
    const bool room = helpers_.size() < limits::helper_connections_max;
    std::vector<sys::Waited> all{{.descriptor = signals_->descriptor()}, {.descriptor = room ? listening_.get() : -1}};
    for (const sys::Process& helper : helpers_) all.push_back({.descriptor = helper.descriptor()});
    static_cast<void>(sys::wait_any(all, std::nullopt));
    if (all[1].ready) admit();
  }
}

void HelperUnit::admit() {
  auto connection = sys::accept_records(listening_.get());
  if (!connection) {
    // It has gone again, or there are no descriptors for a while.
    std::array watched{sys::Waited{.descriptor = signals_->descriptor()}};
    if (connection.error().kind != ErrorKind::would_block) {
      static_cast<void>(sys::wait_any(watched, limits::helper_restart_first));
    }
    return;
  }
  const auto user = sys::peer_user(connection->get());
  if (user && holds(servers_, *user)) return begin(std::move(*connection));
  turn_away(user);
}

void HelperUnit::turn_away(std::optional<std::uint32_t> user) {
  const std::uint32_t number = user.value_or(UINT32_MAX);
  if (holds(strangers_, number) || strangers_.size() >= limits::helper_strangers_told_max) return;
  strangers_.push_back(number);
  diagnostics_.warning(fmt::format("the user with the number {} is turned away", number),
                       fmt::format("only root and '{}' may ask", config_.user),
                       "name the server's user with `user`, or give the socket a narrower mode");
}

void HelperUnit::begin(sys::UniqueFd connection) {
  const std::array keep{connection.get()};
  auto helper = sys::Process::fork("stile-helper", keep, [&] {
    sys::hide_memory();
    sys::ignore_end_signals();
    return auth::run_helper(keep[0], plan_);
  });
  if (!helper) return diagnostics_.error("cannot serve a server", sys::describe(helper.error()));
  helpers_.push_back(std::move(*helper));
}

void HelperUnit::bury() {
  std::erase_if(helpers_, [&](sys::Process& helper) {
    const auto ending = helper.ended();
    if (ending && (ending->signal != 0 || ending->code != 0)) {
      diagnostics_.warning(ending->signal != 0
                               ? fmt::format("the process that judged for a server ended (signal {})", ending->signal)
                               : fmt::format("the process that judged for a server ended (exit code {})", ending->code),
                           {}, "the server connects again");
    }
    return ending.has_value();
  });
}

}  // namespace

int serve_helper(const config::Config& config) {
  return HelperUnit(config).run();
}

}  // namespace stile::server
