#include "server/serve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "auth/helper.h"
#include "auth/helper_verifier.h"
#include "auth/pool_verifier.h"
#include "engine/epoll/epoll_engine.h"
#include "observe/accounting.h"
#include "observe/counters.h"
#include "observe/diagnostics.h"
#include "observe/record_sink.h"
#include "resolve/name_service.h"
#include "server/banner.h"
#include "server/enclosure.h"
#include "server/heartbeat.h"
#include "server/helper_plan.h"
#include "server/listening.h"
#include "server/name_settings.h"
#include "server/server.h"
#include "sys/diverted_socket.h"
#include "sys/errno_table.h"
#include "sys/file_keeper.h"
#include "sys/icmp_socket.h"
#include "sys/local_periods.h"
#include "sys/main_loop.h"
#include "sys/net_probe.h"
#include "sys/own_addresses.h"
#include "sys/process_limits.h"
#include "sys/service_manager.h"
#include "sys/terminal.h"
#include "sys/wait_any.h"

namespace stile::server {
namespace {

class SinkReporter final : public Reporter {
 public:
  /// `accounting` is null where no accounts are kept.
  SinkReporter(observe::RecordSink& sink, observe::Accounting* accounting, bool refuse_when_full) noexcept
      : sink_(sink), accounting_(accounting), refuse_when_full_(refuse_when_full) {}
  void report(const observe::Record& record) noexcept override { sink_.write(record); }
  bool account(observe::AccountingKind kind, const observe::Record& record) noexcept override {
    return accounting_ == nullptr || accounting_->write(kind, record);
  }
  [[nodiscard]] bool refuses() const noexcept override {
    return refuse_when_full_ && accounting_ != nullptr && accounting_->full();
  }

 private:
  observe::RecordSink& sink_;
  observe::Accounting* accounting_;
  bool refuse_when_full_;
};

constexpr std::string_view resolv_conf = "/etc/resolv.conf";
constexpr std::string_view hosts_file = "/etc/hosts";

resolve::NameService::Options name_options(observe::Counters& counters, const sys::ReadFile& read_file) {
  return {.resolv_conf_path = std::string(resolv_conf),
          .hosts_path = std::string(hosts_file),
          .read_file = read_file,
          .cache_counters = {.hits = &counters.dns_cache_hits,
                             .negative_hits = &counters.dns_cache_negative_hits,
                             .misses = &counters.dns_cache_misses,
                             .entries = &counters.dns_cache_entries,
                             .evicted = &counters.dns_cache_evicted,
                             .joined = &counters.dns_joined,
                             .busy = &counters.dns_busy},
          .questions = &counters.dns_questions,
          .failures = &counters.dns_failures};
}

Periods local_periods(WallTime now) {
  const sys::LocalPeriods local = sys::local_periods(now);
  return {.day_begin = local.day_begin, .day_end = local.day_end, .month_begin = local.month_begin};
}

observe::RecordFormat record_format(config::LogFormat format) {
  switch (format) {
    case config::LogFormat::json:
      return observe::RecordFormat::json;
    case config::LogFormat::text:
      return observe::RecordFormat::text;
    case config::LogFormat::none:
      return observe::RecordFormat::none;
    case config::LogFormat::automatic:
      break;
  }
  return sys::is_terminal(sys::standard_output) ? observe::RecordFormat::text : observe::RecordFormat::json;
}

}  // namespace

Admission admission_of(const config::Config& config, const TlsServers& tls, const config::Listener& listener) {
  const auto server = tls.find(listener.tls);
  return {.protocols = listener.protocols,
          .auth = config::auth_of(config, listener),
          .proxy_protocol_from = listener.proxy_protocol_from,
          .tls = server == tls.end() ? nullptr : server->second,
          .tls_optional = listener.tls.optional,
          .pac = config::pac_of(config, listener)};
}

Server::Server(Configuration configuration, LoadConfiguration load, Front* front)
    : config_(std::move(configuration.config)),
      users_(std::move(configuration.users)),
      tls_(std::move(configuration.tls)),
      upstreams_(std::move(configuration.upstreams)),
      files_(std::move(configuration.files)),
      load_(std::move(load)),
      front_(front),
      usage_(std::make_shared<Usage>(local_periods)) {}

// Up to the enclosure there is one thread, because each thread is enclosed for itself; behind it everything is opened
// with the rights that are left, so that what a reload opens once more can be opened then.
int Server::run(const Attend& attend) {
  if (!prepare() || !build_engines() || !open_listeners() || !open_dns() || !open_front()) return 1;
  std::unique_ptr<Attendant> attendant;
  if (attend != nullptr && (attendant = attend(*this)) == nullptr) return 1;
  if (!enclose() || !keep_records() || !recruit()) return 1;
  listen();
  want_tickets();
  banner();
  if (attendant != nullptr) attendant->begin();
  work();
  manager_->ready(serving());
  supervise();
  return farewell();
}

// Everything that must be there before a thread or a socket is: signals blocked, limits raised, own addresses known.
bool Server::prepare() {
  auto enclosure = Enclosure::plan(config_, files_);
  if (!enclosure) {
    diagnostics_.error(enclosure.error().what, enclosure.error().why, enclosure.error().cure);
    return false;
  }
  enclosure_ = std::move(*enclosure);
  if (!meet_manager() || !start_helper() || !start_file_keeper() || !start_ticket_keeper()) return false;
  sys::ignore_broken_pipes();
  auto signals = sys::SignalQueue::create({SIGTERM, SIGINT, SIGHUP});
  auto ended = sys::Notification::create();
  auto asked = sys::Notification::create();
  if (!signals || !ended || !asked) {
    diagnostics_.error("cannot start", "the kernel gives no descriptors", "raise the limit of open files");
    return false;
  }
  signals_ = std::move(*signals);
  worker_ended_ = std::move(*ended);
  asked_ = std::move(*asked);
  news_ = std::make_shared<UpstreamNews>(upstreams_, [this] { asked_->notify(); });
  if (!sys::raise_descriptor_limit()) diagnostics_.warning("cannot raise the limit of open files");
  // The monitor first: what changes between it and the dump is then reported.
  if (auto monitor = sys::OwnAddressMonitor::create()) own_monitor_ = std::move(*monitor);
  refresh_own_addresses();
  return true;
}

bool Server::meet_manager() {
  auto manager = sys::ServiceManager::of_environment();
  if (!manager) {
    diagnostics_.error("cannot start", "what the service manager passed is no listening stream socket",
                       "ListenStream= in its socket unit, and Accept=no");
    return false;
  }
  manager_ = std::move(*manager);
  return true;
}

// Whatever takes more rights than are left was done before.
bool Server::enclose() {
  const Enclosure::Entered entered = enclosure_->enter();
  for (const Shortcoming& one : entered.missing) {
    if (entered.may_go_on) {
      diagnostics_.warning(one.what, one.why, one.cure);
    } else {
      diagnostics_.error(one.what, one.why, enclosure_->is_required() ? "or set `sandbox` to \"best-effort\"" : "");
    }
  }
  enclosed_ = entered.fact;
  return entered.may_go_on;
}

bool Server::keep_records() {
  auto sink = observe::RecordSink::create(sys::standard_output, record_format(config_.log));
  if (!sink) {
    diagnostics_.error("cannot write access records", sys::describe(sink.error()));
    return false;
  }
  sink_ = std::move(*sink);
  if (!open_accounting()) return false;
  remember_quotas();
  if (sink_->wants_records() || accounting_ != nullptr) {
    reporter_ = std::make_unique<SinkReporter>(*sink_, accounting_.get(), config_.accounting.refuse_new);
  }
  return true;
}

// A process is copied while it has one thread, no signal blocked, and nothing open that the copy should not have.
bool Server::start_helper() {
  if (!config::needs_helper(config_)) return true;
  by_ticket_ = admits(config_, AuthMethod::gssapi);
  auto missing = not_built_in(config_, AuthMethod::gssapi);
  if (!missing && !helper_is_a_unit()) missing = not_built_in(config_, AuthMethod::pam);
  if (missing) {
    diagnostics_.error(missing->what, missing->why, missing->cure);
    return false;
  }
  if (!helper_is_a_unit() && !fork_helper()) return false;
  if (by_ticket_) protect::prepare_gssapi();
  return true;
}

bool Server::fork_helper() {
  auth::HelperPlan plan = plan_helper(config_);
  plan.forget = [this] { forget_secrets(); };
  if (!by_ticket_) plan.accept = nullptr;
  auto started = auth::start_helper(plan);
  if (!started) {
    diagnostics_.error("cannot start the authentication helper", sys::describe(started.error()));
    return false;
  }
  helper_ = std::move(*started);
  return true;
}

// In a process that was copied from this one.
void Server::forget_secrets() {
  tls_.clear();
  upstreams_.clear();
  users_.reset();
}

bool Server::start_file_keeper() {
  if (enclosure_->is_off()) return true;
  auto keeper = sys::FileKeeper::start({std::string(resolv_conf), std::string(hosts_file)}, [this] {
    forget_secrets();
    return enclosure_->enter_keeper();
  });
  if (!keeper) {
    diagnostics_.error("cannot start the process that opens the resolver's files", sys::describe(keeper.error()));
    return false;
  }
  file_keeper_ = std::move(*keeper);
  return true;
}

bool Server::open_helper_office() {
  if (!config::needs_helper(config_)) return true;
  const auto tell = [this](std::string_view what, std::string_view why, std::string_view cure) {
    diagnostics_.warning(what, why, cure);
  };
  auto link = helper_ ? auth::HelperLink::create(std::move(helper_->socket), tell)
                      : auth::HelperLink::create(config::socket_path(config_.helper.socket), tell);
  if (!link) {
    diagnostics_.error("cannot start", "the kernel gives no descriptors", "raise the limit of open files");
    return false;
  }
  helper_office_ = std::make_unique<auth::HelperOffice>(*office_->key, std::move(*link));
  return true;
}

bool Server::open_accounting() {
  const std::string& file = config_.accounting.file;
  if (file.empty()) return true;
  auto opened =
      observe::Accounting::open(file, [this](std::string_view what, std::string_view why, std::string_view cure) {
        diagnostics_.warning(what, why, cure);
      });
  if (!opened) {
    diagnostics_.error(fmt::format("cannot keep accounts in {}", file), opened.error().why, opened.error().cure);
    return false;
  }
  accounting_ = std::move(*opened);
  spent_since_ = [this, file](WallTime since) {
    std::vector<Spent> spent;
    auto usages = observe::AccountingStore::usage_of_rules(file, since);
    if (!usages) {
      diagnostics_.warning(fmt::format("quotas begin anew: cannot read {}", file), usages.error().why,
                           usages.error().cure);
      return spent;
    }
    for (observe::RuleUsage& usage : *usages) {
      spent.push_back({std::move(usage.rule), std::move(usage.user), usage.octets});
    }
    return spent;
  };
  if (const std::uint64_t open = accounting_->left_open(); open > 0) {
    diagnostics_.warning(fmt::format("{} session{} of a server that did not end in order {} accounted for as lost",
                                     open, open == 1 ? "" : "s", open == 1 ? "is" : "are"));
  }
  return true;
}

// Of the policy in force: what its quotas' users have carried before.
void Server::remember_quotas() {
  if (spent_since_ == nullptr || config_.policy == nullptr) return;
  usage_->remember(*config_.policy, spent_since_,
                   std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now()));
}

// The engines with the sockets for ICMP, which may need a right; the key, for which the cryptographic library reads
// files of its own.
bool Server::build_engines() {
  const unsigned count = config_.workers == 0 ? sys::usable_cores() : config_.workers;
  auto key = auth::DigestKey::create();
  if (!key) {
    diagnostics_.error("cannot start", "the cryptographic library gives no random key");
    return false;
  }
  digest_key_ = std::move(*key);
  bool probes_possible = false;
  for (unsigned i = 0; i < count; ++i) {
    auto engine = engine::EpollEngine::create({.spin = config_.engine.spin});
    if (!engine) {
      diagnostics_.error("cannot start a worker", sys::describe(engine.error()), "ask for fewer with --workers");
      return false;
    }
    probes_possible = (*engine)->prepare_icmp();
    crews_.push_back(std::make_unique<Crew>());
    crews_.back()->engine = std::move(*engine);
  }
  if (!probes_possible) {
    diagnostics_.warning("PING and TRACEROUTE cannot be served: the system gives this process no ICMP socket",
                         sys::icmp_access_cure);
  }
  return true;
}

bool Server::recruit() {
  office_ =
      std::make_unique<auth::LoginOffice>(std::move(digest_key_), auth::HashPool::threads_for(sys::usable_cores()));
  if (!open_helper_office()) return false;
  sys::ReadFile read_file = sys::read_file;
  if (file_keeper_ != nullptr) {
    read_file = [this](const std::string& path, std::size_t octets_max) {
      return file_keeper_->read(path, octets_max);
    };
  }
  const resolve::NameSettings settings = name_settings(config_);
  for (const auto& crew : crews_) {
    auto names = resolve::NameService::create(*crew->engine, name_options(crew->counters, read_file), settings);
    if (!names) {
      diagnostics_.error("cannot start the resolver", sys::describe(names.error()));
      return false;
    }
    crew->names = std::move(*names);
    crew->passwords = std::make_unique<auth::PoolVerifier>(*crew->engine, *office_);
    if (helper_office_ != nullptr) {
      crew->helper = std::make_unique<auth::HelperVerifier>(*crew->engine, *helper_office_);
    }
    crew->verifier = std::make_unique<auth::MethodVerifier>(*crew->passwords, crew->helper.get());
    crew->worker = std::make_unique<Worker>(*crew->engine, crew->names->resolver(), crew->counters, reporter_.get(),
                                            common(), crew->verifier.get());
  }
  return true;
}

bool Server::open_listeners() {
  for (const config::Listener& listener : config_.listeners) {
    auto opened = open_listener(listener, crews_.size(), manager_->sockets(), enclosure_->account());
    if (opened) {
      listening_.push_back(opened->bound);
      opened_.push_back(std::move(*opened));
    } else if (listener.optional && opened.error().missing) {
      diagnostics_.warning(fmt::format("not listening on {}", listener.address.to_string()),
                           "this host has no such address");
    } else {
      diagnostics_.error(opened.error().what, opened.error().why, opened.error().cure);
      return false;
    }
  }
  if (listening_.empty() && config_.dns.empty() && front_ == nullptr) {
    diagnostics_.error("cannot start", "there is no address to listen on", "name one with --listen");
    return false;
  }
  for (const sys::GivenSocket& given : manager_->sockets()) {
    diagnostics_.error(fmt::format("cannot serve {}, which the service manager has opened", where(given)),
                       "no listener has that address", "add it as [[listen]], or take it out of the socket unit");
  }
  if (!manager_->sockets().empty()) return false;
  return true;
}

bool Server::open_dns() {
  for (const config::DnsListener& listener : config_.dns) {
    auto datagrams = sys::open_own_datagrams(listener.address);
    auto streams = engine::EpollEngine::open_listener(listener.address, {});
    if (!datagrams || !streams) {
      const Error& error = datagrams ? streams.error() : datagrams.error();
      const bool in_use = error.kind == ErrorKind::address_in_use;
      diagnostics_.error(fmt::format("cannot answer DNS at {}", listener.address.to_string()), sys::describe(error),
                         in_use ? "stop the other DNS server there, or answer at another address" : "");
      return false;
    }
    dns_sockets_.push_back({std::move(datagrams->fd), std::move(streams->fd)});
  }
  return true;
}

void Server::serve_dns() {
  if (dns_sockets_.empty()) return;
  Crew& crew = *crews_.front();
  crew.dns_answers = std::make_unique<DnsAnswers>(*crew.engine, crew.names->resolver(), *crew.worker, reporter_.get());
  crew.name_server = std::make_unique<NameServer>(*crew.engine, *crew.dns_answers);
  for (DnsSockets& sockets : dns_sockets_) {
    crew.name_server->serve_datagrams(std::move(sockets.datagrams));
    crew.name_server->serve_streams(std::move(sockets.streams));
  }
  dns_sockets_.clear();
}

bool Server::open_front() {
  if (front_ == nullptr) return true;
  const auto refused = front_->open(crews_.size(), [this] { forget_secrets(); });
  if (refused) diagnostics_.error(refused->what, refused->why, refused->cure);
  return !refused;
}

void Server::attach_front() {
  if (front_ == nullptr) return;
  for (std::size_t i = 0; i < crews_.size(); ++i) {
    Crew& crew = *crews_[i];
    front_->attach(i, {*crew.engine, crew.names->resolver(), *crew.worker, reporter_.get()});
    crew.finish_front = [this, i] { front_->finish(i); };
  }
}

void Server::listen() {
  for (OpenedListener& opened : opened_) hand_over(opened);
  opened_.clear();
  serve_dns();
  attach_front();
  for (const auto& crew : crews_) crew->worker->publish(common());
}

void Server::hand_over(OpenedListener& opened) {
  const Admission admission = admission_of(config_, tls_, opened.bound.listener);
  for (std::size_t i = 0; i < crews_.size(); ++i) {
    crews_[i]->listen(opened.bound, admission, std::move(opened.descriptors[i]));
  }
}

void Server::tell_listeners() {
  for (const Bound& bound : listening_) {
    diagnostics_.notice(fmt::format("listening on {} ({}): {}", bound.where(), admitted(config_, bound.listener),
                                    who_may(config_, bound.listener)));
    if (config::sends_passwords_in_clear(config_, bound.listener)) {
      diagnostics_.warning(fmt::format("passwords for {} cross the network in clear", bound.where()),
                           "let clients reach it through a tunnel or a network of your own");
    }
  }
  for (const config::DnsListener& listener : config_.dns) {
    diagnostics_.notice(fmt::format("answering DNS at {}", listener.address.to_string()));
  }
  if (front_ == nullptr) return;
  for (const std::string& fact : front_->facts()) diagnostics_.notice(fact);
}

void Server::banner() {
  tell_listeners();
  if (users_ != nullptr) {
    const std::size_t count = users_->records().size();
    diagnostics_.notice(fmt::format("{} user{} in {}", count, count == 1 ? "" : "s", config_.users.file));
  }
  for (const std::string& fact : outside_facts(config_)) diagnostics_.notice(fact);
  if (!enclosed_.empty()) diagnostics_.notice(fmt::format("sandbox: {}", enclosed_));
  warn_of_egress("start it as root, or with AmbientCapabilities=CAP_NET_RAW in its unit");
  std::string workers = fmt::format("{} worker{}", crews_.size(), crews_.size() == 1 ? "" : "s");
  if (!listening_.empty()) {
    const Bound& first = listening_.front();
    workers += fmt::format("; try: {}", trial(config_, first.listener, first.endpoint));
  }
  diagnostics_.notice(workers);
}

void Server::warn_of_egress(std::string mark_cure) {
  const EgressFacts host{.addresses = own_addresses_,
                         .has_interface = sys::has_interface,
                         .may_mark = sys::may_mark(),
                         .mark_cure = std::move(mark_cure)};
  for (const Shortcoming& one : missing_egress(config_, host)) diagnostics_.warning(one.what, one.why, one.cure);
}

void Server::work() {
  if (manager_->watchdog()) {
    heartbeat_.emplace(crews_.size(), [this](std::size_t i, std::function<void()> task) {
      crews_[i]->worker->perform(std::move(task));
    });
  }
  for (std::size_t i = 0; i < crews_.size(); ++i) {
    Crew* const crew = crews_[i].get();
    crew->thread = std::thread([this, crew, i] {
      if (!enclose_worker()) crew->worker->request_stop();
      crew->run();
      if (heartbeat_) heartbeat_->end(i);
      crews_ended_.fetch_add(1);
      worker_ended_->notify();
    });
  }
}

// On a worker's thread. False: it may not serve, and the others not without it.
bool Server::enclose_worker() {
  const auto missing = enclosure_->enter_worker();
  if (!missing) return true;
  const bool fatal = enclosure_->is_required();
  if (!not_enclosed_.exchange(true)) diagnostics_.warning(missing->what, missing->why, missing->cure);
  if (fatal) asked_->notify();
  return !fatal;
}

void Server::supervise() {
  while (crews_ended_.load() < crews_.size()) {
    const std::array descriptors{signals_->descriptor(), worker_ended_->descriptor(), asked_->descriptor(),
                                 own_monitor_ ? own_monitor_->descriptor() : -1,
                                 ticket_keeper_ ? ticket_keeper_->descriptor() : -1};
    std::optional<Duration> longest;
    if (heartbeat_) longest = std::max<Duration>(next_beat_ - sys::monotonic_now(), Duration::zero());
    const auto ready = sys::wait_readable(descriptors, longest);
    beat();
    if (!ready) continue;
    if (*ready == 0) {
      while (const auto signal = signals_->next()) on_signal(*signal);
    } else if (*ready == 1) {
      worker_ended_->clear();
    } else if (*ready == 2) {
      asked_->clear();
      if (not_enclosed_ && enclosure_->is_required()) {
        for (const auto& crew : crews_) crew->worker->request_stop();
      }
      tell_news();
      answer_requests();
    } else if (*ready == 4) {
      hear_tickets();
    } else {
      own_monitor_->drain();
      refresh_own_addresses();
      for (const auto& crew : crews_) crew->worker->publish(common());
    }
  }
  for (const auto& crew : crews_) crew->thread.join();
}

// Four rounds in the time that the manager waits: a sign of life that is late by one is still in time.
void Server::beat() {
  const Duration now = sys::monotonic_now();
  if (!heartbeat_ || now < next_beat_) return;
  next_beat_ = now + *manager_->watchdog() / 4;
  if (heartbeat_->round()) manager_->alive();
}

std::string Server::serving() const {
  return fmt::format("serving {} listener{}, generation {} of the configuration", listening_.size(),
                     listening_.size() == 1 ? "" : "s", generation_);
}

void Server::on_signal(int signal) {
  if (signal == SIGHUP) return on_hangup();
  ++signals_seen_;
  for (Bound& bound : listening_) bound.file.reset();  // nobody finds them any longer; the workers close the rest
  const char* const name = signal == SIGINT ? "interrupt" : "SIGTERM";
  if (signals_seen_ == 1) {
    manager_->stopping("draining");
    diagnostics_.notice(fmt::format("{}: draining; tunnels may end by themselves (once more to stop at once)", name));
  } else {
    diagnostics_.notice(fmt::format("{}: stopping at once", name));
  }
  for (const auto& crew : crews_) {
    if (signals_seen_ == 1) {
      crew->worker->request_drain();
    } else {
      crew->worker->request_stop();
    }
  }
}

int Server::farewell() {
  {
    const std::scoped_lock lock(requests_mutex_);
    takes_requests_ = false;
  }
  answer_requests();
  Worker::DrainResult drained;
  for (const auto& crew : crews_) {
    drained.finished += crew->worker->drained().finished;
    drained.reset += crew->worker->drained().reset;
  }
  crews_.clear();
  if (front_ != nullptr) {
    if (const auto left = front_->close()) diagnostics_.warning(left->what, left->why, left->cure);
  }
  end_helper();
  accounting_.reset();  // what waits is written, or said to be lost
  diagnostics_.notice(
      fmt::format("ended; while draining, {} tunnels finished and {} were reset", drained.finished, drained.reset));
  return not_enclosed_ && enclosure_->is_required() ? 1 : 0;
}

// It ends when its socket is closed; whatever does not is ended.
void Server::end_helper() {
  helper_office_.reset();
  if (helper_) static_cast<void>(helper_->supervisor.await(limits::helper_farewell));
  helper_.reset();
}

void Server::refresh_own_addresses() {
  auto own = sys::own_addresses();
  if (own) {
    own_addresses_ = std::move(*own);
    return;
  }
  diagnostics_.warning("cannot read this host's own addresses", sys::describe(own.error()),
                       "the class `self` covers only what was known before");
}

std::shared_ptr<const Common> Server::common() const {
  auto common = std::make_shared<Common>();
  common->generation = generation_;
  common->enforce = !config_.keep_sessions_on_reload;
  common->reloadable = load_ != nullptr;
  common->limits = config_.limits;
  common->workers = static_cast<unsigned>(crews_.size());
  common->policy = config_.policy;
  common->loopback_preset = loopback_preset_;
  common->deny_all = deny_all_;
  common->live_sockets = live_sockets_;
  common->probe_gate = probe_gate_;
  common->usage = usage_;
  common->own.local_routes = own_addresses_;
  for (const Bound& bound : listening_) {
    if (!bound.listener.is_unix()) common->own.sockets.push_back(bound.endpoint);
  }
  for (const config::DnsListener& listener : config_.dns) common->own.sockets.push_back(listener.address);
  if (front_ != nullptr) {
    for (const Endpoint& socket : front_->sockets()) common->own.sockets.push_back(socket);
  }
  for (const config::Outside* const outside : {&config_.udp.outside, &config_.bind.outside}) {
    for (const Address& address : outside->advertise) common->own.local_routes.push_back(Cidr::host(address));
  }
  common->udp = config_.udp;
  common->bind = config_.bind;
  common->log_query = config_.log_query;
  common->network_users = config_.gateway.users;
  if (accounting_ != nullptr) common->accounting_interim = config_.accounting.interim;
  common->proxy_protocol_to = config_.proxy_protocol_to;
  common->upstreams = upstreams_;
  common->upstream_watch = news_;
  common->users = users_;
  common->today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()).time_since_epoch().count();
  common->penalties = penalties_;
  const auto remember = [&](AuthMethod method, Duration lifetime) {
    common->login_cache[static_cast<std::size_t>(method)] = lifetime;
  };
  remember(AuthMethod::password, config_.users.cache);
  remember(AuthMethod::pam, config_.pam.cache);
  remember(AuthMethod::command, config_.command.cache);
  common->pam_service = config_.pam.service;
  common->gssapi = {
      .encrypt = config_.gssapi.confidentiality, .clear = config_.gssapi.clear, .bare_levels = config_.gssapi.nec};
  for (const auto& crew : crews_) common->counters.push_back(&crew->counters);
  return common;
}

int serve(Configuration configuration, LoadConfiguration load, const Attend& attend, Front* front) {
  return Server(std::move(configuration), std::move(load), front).run(attend);
}

}  // namespace stile::server
