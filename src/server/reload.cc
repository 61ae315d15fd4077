#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/helper_plan.h"
#include "server/name_settings.h"
#include "server/server.h"
#include "sys/errno_table.h"

namespace stile::server {
namespace {

/// What the workers say of a new configuration; shared, since a worker may outlast the wait.
struct Adoption {
  std::mutex mutex;
  std::condition_variable said;
  std::size_t workers = 0;  // that have said it
  Worker::Enforced sum;
  std::optional<Error> names_fault;  // why some of them still ask as before

  void add(const Worker::Enforced& enforced, const Result<void>& names) {
    const std::scoped_lock lock(mutex);
    ++workers;
    if (!names) names_fault = names.error();
    sum.ended += enforced.ended;
    sum.kept += enforced.kept;
    said.notify_one();
  }
};

}  // namespace

std::expected<Reloaded, Refusal> Server::reload() {
  ReloadRequest request{.answered = false, .answer = {}};
  std::unique_lock lock(requests_mutex_);
  if (takes_requests_) {
    requests_.push_back(&request);
    asked_->notify();
    request_answered_.wait(lock, [&] { return request.answered; });
    return std::move(request.answer);
  }
  return std::unexpected(shutting_down());
}

void Server::answer_requests() {
  std::vector<ReloadRequest*> requests;
  {
    const std::scoped_lock lock(requests_mutex_);
    requests.swap(requests_);
  }
  for (ReloadRequest* const request : requests) {
    auto answer = reload_now();
    const std::scoped_lock lock(requests_mutex_);
    request->answer = std::move(answer);
    request->answered = true;
    request_answered_.notify_all();
  }
}

// The service manager is told whichever way it was asked for.
std::expected<Reloaded, Refusal> Server::reload_now() {
  manager_->reloading();
  auto reloaded = try_reload();
  if (signals_seen_ == 0) manager_->ready(serving());
  return reloaded;
}

void Server::on_hangup() {
  const auto reloaded = reload_now();
  if (!reloaded) {
    for (const std::string& message : reloaded.error().messages) diagnostics_.error("cannot reload", message);
    return;
  }
  for (const std::string& note : reloaded->notes) diagnostics_.warning(note);
}

// Read, checked, every new listener open: only then anything changes, and then for everybody.
std::expected<Reloaded, Refusal> Server::try_reload() {
  const auto refuse = [](std::string why) {
    return std::unexpected(Refusal{.bad_configuration = false, .messages = {std::move(why)}});
  };
  if (signals_seen_ > 0 || crews_ended_.load() > 0) return std::unexpected(shutting_down());
  if (load_ == nullptr) return refuse("there is no configuration file to read again; start with --config");
  auto next = load_();
  if (!next) {
    return std::unexpected(Refusal{.bad_configuration = true, .messages = std::move(next.error())});
  }
  if (shows_tickets(next->config) && ticket_keeper_ == nullptr) {
    return refuse(
        "an upstream is met with a Kerberos ticket, and who gets it comes with the start of the server only; restart "
        "it");
  }
  if (auto lacking = helper_lacks(next->config)) return refuse(std::move(*lacking));
  auto changes = prepare_listeners(next->config);
  if (!changes) return std::unexpected(std::move(changes.error()));
  Reloaded reloaded{.generation = ++generation_, .ended = 0, .kept = 0, .notes = fixed_until_restart(next->config)};
  config_ = std::move(next->config);
  users_ = std::move(next->users);
  remember_quotas();
  tls_ = std::move(next->tls);
  upstreams_ = std::move(next->upstreams);
  want_tickets();
  news_->use(upstreams_);
  const Worker::Enforced enforced = put_in_force(std::move(*changes));
  warn_of_egress("restart the server: it keeps the privilege where something is marked when it starts");
  reloaded.ended = enforced.ended;
  reloaded.kept = enforced.kept;
  diagnostics_.notice(fmt::format("reloaded (generation {}): {} sessions live on, {} were ended", reloaded.generation,
                                  reloaded.kept, reloaded.ended));
  return reloaded;
}

// What a listener's method needs, and what was there only for a server that began with it.
std::optional<std::string> Server::helper_lacks(const config::Config& next) const {
  if (config::needs_helper(next) && helper_office_ == nullptr) {
    return "a listener's `auth` says pam, command or gssapi, and their helper comes with the start of the server only; "
           "restart it";
  }
  if (admits(next, AuthMethod::gssapi) && !by_ticket_) {
    return "a listener's `auth` says gssapi, and what Kerberos needs comes with the start of the server only; restart "
           "it";
  }
  return std::nullopt;
}

std::expected<ListenerChanges, Refusal> Server::prepare_listeners(const config::Config& next) const {
  ListenerChanges changes;
  std::vector<Bound> left = listening_;
  for (const config::Listener& listener : next.listeners) {
    const auto same = [&](const Bound& bound) { return bound.listener.where() == listener.where(); };
    if (const auto bound = std::ranges::find_if(left, same); bound != left.end()) {
      if (bound->listener.file != listener.file) {
        return std::unexpected(Refusal{
            .bad_configuration = false,
            .messages = {fmt::format("the mode or owner of {} changes only at the next start", listener.where())}});
      }
      bound->listener = listener;
      changes.kept.push_back(std::move(*bound));
      left.erase(bound);
      continue;
    }
    std::vector<sys::GivenSocket> none;
    auto opened = open_listener(listener, crews_.size(), none, std::nullopt);
    if (!opened && listener.optional && opened.error().missing) continue;
    if (!opened) {
      const ListenRefusal& refusal = opened.error();
      return std::unexpected(Refusal{.bad_configuration = false,
                                     .messages = {fmt::format("{}: {}{}", refusal.what, refusal.why,
                                                              refusal.cure.empty() ? "" : " (" + refusal.cure + ")")}});
    }
    changes.added.push_back(std::move(*opened));
  }
  changes.removed = std::move(left);
  return changes;
}

std::vector<std::string> Server::fixed_until_restart(const config::Config& next) const {
  std::vector<std::string> notes;
  if (next.workers != config_.workers) notes.emplace_back("'workers' takes effect at the next start");
  if (next.log != config_.log) notes.emplace_back("'log' takes effect at the next start");
  if (next.engine.spin != config_.engine.spin) notes.emplace_back("'engine.spin' takes effect at the next start");
  if (!helper_is_a_unit() && next.command.program != config_.command.program) {
    notes.emplace_back("'command.program' takes effect at the next start");
  }
  if (next.helper.socket != config_.helper.socket) notes.emplace_back("'helper.socket' takes effect at the next start");
  for (const config::Listener& listener : next.listeners) {
    const auto other = [&](const Bound& bound) {
      return bound.listener.where() == listener.where() && bound.listener.fast_open != listener.fast_open;
    };
    if (std::ranges::any_of(listening_, other)) {
      notes.push_back(fmt::format("'fast_open' of {} takes effect at the next start", listener.where()));
    }
  }
  if (next.dns != config_.dns) notes.emplace_back("'dns' takes effect at the next start");
  const config::Gateway& gateway = next.gateway;
  const config::Gateway& before = config_.gateway;
  const bool packets_differ = gateway.lan != before.lan || gateway.from != before.from ||
                              gateway.except != before.except || gateway.redirect != before.redirect ||
                              gateway.applies_rules != before.applies_rules;
  if (packets_differ) notes.emplace_back("'gateway' takes effect at the next start, but for its users");
  const config::Accounting& accounts = next.accounting;
  if (next.user != config_.user || next.sandbox != config_.sandbox) {
    notes.emplace_back("'user' and 'sandbox' take effect at the next start");
  }
  if (accounts.file != config_.accounting.file || accounts.refuse_new != config_.accounting.refuse_new) {
    notes.emplace_back("'accounting.file' and 'accounting.on_failure' take effect at the next start");
  }
  return notes;
}

// Each worker does all of it in one turn of its loop.
Worker::Enforced Server::put_in_force(ListenerChanges changes) {
  listening_ = changes.kept;
  for (const OpenedListener& opened : changes.added) listening_.push_back(opened.bound);
  // A socket file is removed by its last owner, which no worker may be: it could not.
  const std::vector<Bound> until_all_have_closed = changes.removed;
  for (Bound& bound : changes.kept) bound.file.reset();
  for (Bound& bound : changes.removed) bound.file.reset();
  for (OpenedListener& opened : changes.added) opened.bound.file.reset();
  const auto removed = std::make_shared<const std::vector<Bound>>(std::move(changes.removed));
  const auto kept = std::make_shared<const std::vector<Bound>>(std::move(changes.kept));
  const auto added = std::make_shared<std::vector<OpenedListener>>(std::move(changes.added));
  const auto adoption = std::make_shared<Adoption>();
  const auto config = std::make_shared<const config::Config>(config_);
  const auto tls = std::make_shared<const TlsServers>(tls_);
  const auto names = std::make_shared<const resolve::NameSettings>(name_settings(config_));
  for (std::size_t i = 0; i < crews_.size(); ++i) {
    crews_[i]->worker->perform(
        [crew = crews_[i].get(), i, removed, kept, added, adoption, config, tls, names, common = common()] {
          for (OpenedListener& opened : *added) {
            crew->listen(opened.bound, admission_of(*config, *tls, opened.bound.listener),
                         std::move(opened.descriptors[i]));
          }
          for (const Bound& bound : *kept)
            crew->worker->admit(bound.where(), admission_of(*config, *tls, bound.listener));
          for (const Bound& bound : *removed) crew->worker->close_listener(bound.where());
          const auto named = crew->names->adopt(*names);
          adoption->add(crew->worker->adopt(common), named);
        });
  }
  {
    std::unique_lock lock(adoption->mutex);
    adoption->said.wait(lock, [&] { return adoption->workers == crews_.size(); });
  }
  // Entries for records that are gone would never be found; now that nobody adds any, nothing is left of them.
  office_->cache.clear();
  if (helper_office_ != nullptr) helper_office_->forget_all();
  if (adoption->names_fault) {
    diagnostics_.warning("names are asked of the resolvers of before", sys::describe(*adoption->names_fault),
                         "reload once more");
  }
  return adoption->sum;
}

}  // namespace stile::server
