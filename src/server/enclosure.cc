#include "server/enclosure.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "protect/gss.h"
#include "sys/call_filter.h"
#include "sys/errno_table.h"
#include "sys/privileges.h"
#include "sys/process.h"

namespace stile::server {
namespace {

using sys::FileGrant;
using sys::FileUse;

// Opened by the engine when descriptors run out, by c-ares for the numbers of its questions, by the C library for the
// calendar.
constexpr std::array<std::string_view, 4> files_of_workers{"/dev/null", "/dev/urandom", "/etc/localtime",
                                                           "/usr/share/zoneinfo"};
// And by OpenSSL for a first listener with TLS.
constexpr std::array<std::string_view, 1> files_of_process{"/etc/ssl/openssl.cnf"};

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void add(std::vector<FileGrant>& grants, std::string path, FileUse use) {
  FileGrant grant{.path = std::move(path), .use = use};
  if (std::ranges::find(grants, grant) == grants.end()) grants.push_back(std::move(grant));
}

std::vector<FileGrant> grants_of_workers(const config::Config& config) {
  std::vector<FileGrant> grants;
  const bool by_ticket = std::ranges::any_of(config.listeners, [&](const config::Listener& listener) {
    return config::auth_of(config, listener).admits(AuthMethod::gssapi);
  });
  if (by_ticket || shows_tickets(config)) {
    for (std::string& path : protect::files_of_gssapi()) add(grants, std::move(path), FileUse::read);
  }
  for (const std::string_view path : files_of_workers) add(grants, std::string(path), FileUse::read);
  // Leak detection looks at its own process.
  if (sys::calls_are_for_sanitizers()) add(grants, "/proc", FileUse::read);
  return grants;
}

std::vector<FileGrant> grants_of_process(const config::Config& config, const std::vector<std::string>& files) {
  std::vector<FileGrant> grants = grants_of_workers(config);
  for (const std::string_view path : files_of_process) add(grants, std::string(path), FileUse::read);
  for (const std::string& file : files) add(grants, folder_of(file), FileUse::read);
  if (!config.accounting.file.empty()) add(grants, folder_of(config.accounting.file), FileUse::write);
  for (const config::Listener& listener : config.listeners) {
    if (listener.is_unix()) add(grants, folder_of(listener.file.path), FileUse::sockets);
  }
  if (!config.admin.socket.empty()) {
    add(grants, folder_of(config::socket_path(config.admin.socket)), FileUse::sockets);
  }
  return grants;
}

Shortcoming shortcoming(std::string_view what, const Error& error, std::string_view absent) {
  const bool missing = error.kind == ErrorKind::not_found;
  return {.what = fmt::format("the sandbox does not {}", what),
          .why = std::string(missing ? absent : sys::describe(error)),
          .cure = {}};
}

}  // namespace

std::expected<Enclosure, Shortcoming> Enclosure::plan(const config::Config& config,
                                                      const std::vector<std::string>& files) {
  Enclosure made;
  made.sandbox_ = config.sandbox;
  made.user_ = config.user;
  if (marks(config)) made.keeps_ = sys::cap_net_raw;
  if (sys::is_root()) made.account_ = sys::account_named(config.user);
  if (sys::is_root() && !made.account_ && config.origins.contains("user")) {
    return std::unexpected(Shortcoming{.what = fmt::format("cannot become the user '{}'", config.user),
                                       .why = "/etc/passwd has no such name",
                                       .cure = "add that user, or name another with `user`"});
  }
  made.worker_files_ = grants_of_workers(config);
  made.process_files_ = grants_of_process(config, files);
  return made;
}

Enclosure::Entered Enclosure::give_up(const std::vector<FileGrant>& files, sys::Capabilities keeps) const {
  Entered entered;
  std::string held;
  const auto holds = [&](std::string_view what) { held += fmt::format("{}{}", held.empty() ? "" : ", ", what); };
  const auto tried = [&](const Result<void>& done, std::string_view what, std::string_view absent) {
    if (!done) entered.missing.push_back(shortcoming(what, done.error(), absent));
    return done.has_value();
  };
  const bool root_before = sys::is_root();
  bool no_capabilities = !is_off() && tried(sys::forbid_capabilities(), "forbid capabilities", "");
  if (account_ && account_->user != 0) {
    // Who was told to be somebody else serves nobody as root.
    if (!tried(sys::become(*account_, keeps), fmt::format("become the user '{}'", account_->name), "")) {
      entered.may_go_on = false;
    }
    holds(fmt::format("user {}", account_->name));
  }
  if (is_off()) {
    entered.fact = held;
    return entered;
  }
  no_capabilities = tried(sys::drop_capabilities(keeps), "drop capabilities", "") && no_capabilities;
  const bool keeps_some = keeps != 0 && sys::has_capabilities(keeps);
  if (root_before && sys::is_root() && no_capabilities) {
    const std::string_view fact = keeps_some ? "root without other capabilities" : "root without capabilities";
    holds(account_ ? std::string(fact) : fmt::format("{}, since there is no user '{}'", fact, user_));
  }
  if (keeps_some) holds("CAP_NET_RAW for marks");
  sys::hide_memory();
  const bool no_more = tried(sys::forbid_new_privileges(), "forbid new privileges", "");
  if (no_more && tried(sys::confine_files(files, sys::Contact::own_process), "confine files",
                       "this kernel has no Landlock, or it is not enabled")) {
    holds("files confined");
  }
  if (no_more && tried(sys::filter_calls(sys::CallList::process), "filter system calls",
                       "this kernel has no filters, or this stile knows no calls of this processor")) {
    holds("system calls filtered");
  }
  entered.fact = held;
  if (is_required() && !entered.missing.empty()) entered.may_go_on = false;
  return entered;
}

Enclosure::Entered Enclosure::enter() const {
  return give_up(process_files_, keeps_);
}

bool Enclosure::enter_keeper() const {
  return give_up({{.path = "/", .use = FileUse::read}}, 0).may_go_on;
}

std::optional<Shortcoming> Enclosure::enter_worker() const {
  if (is_off()) return std::nullopt;
  const auto failed = [](const Result<void>& done) { return !done && done.error().kind != ErrorKind::not_found; };
  if (const auto done = sys::confine_files(worker_files_, sys::Contact::own_process); failed(done)) {
    return shortcoming("confine a worker's files", done.error(), "");
  }
  if (const auto done = sys::filter_calls(sys::CallList::worker); failed(done)) {
    return shortcoming("filter a worker's system calls", done.error(), "");
  }
  return std::nullopt;
}

}  // namespace stile::server
