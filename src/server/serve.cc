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
#include "server/worker.h"
#include "sys/errno_table.h"
#include "sys/file_keeper.h"
#include "sys/icmp_socket.h"
#include "sys/local_periods.h"
#include "sys/main_loop.h"
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

/// One worker with everything it stands on, in the order of construction.
struct Crew {
  std::unique_ptr<engine::EpollEngine> engine;
  observe::Counters counters;
  std::unique_ptr<resolve::NameService> names;
  std::unique_ptr<auth::PoolVerifier> passwords;
  std::unique_ptr<auth::HelperVerifier> helper;  // absent where no listener needs one
  std::unique_ptr<auth::MethodVerifier> verifier;
  std::unique_ptr<Worker> worker;
  std::thread thread;

  void listen(const Bound& bound, const Admission& admission, sys::UniqueFd descriptor);
  /// On the worker's thread: until everything ended and nothing is pending in the engine.
  void run() {
    worker->run();
    engine::Operation names_closed;
    names_closed.bind<&Crew::on_names_closed>(this);
    names->close(names_closed);
    engine->run();
  }

 private:
  void on_names_closed(engine::Status) { engine->stop(); }
};

/// What the main thread is asked by others.
struct ReloadRequest {
  bool answered = false;
  std::expected<Reloaded, ReloadRefusal> answer;
};

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

/// What a reload does to listeners, each prepared before anything changes.
struct ListenerChanges {
  std::vector<OpenedListener> added;
  std::vector<Bound> kept;  // as configured anew
  std::vector<Bound> removed;
};

Admission admission_of(const config::Config& config, const TlsServers& tls, const config::Listener& listener) {
  const auto server = tls.find(listener.tls);
  return {.protocols = listener.protocols,
          .auth = config::auth_of(config, listener),
          .proxy_protocol_from = listener.proxy_protocol_from,
          .tls = server == tls.end() ? nullptr : server->second,
          .tls_optional = listener.tls.optional,
          .pac = config::pac_of(config, listener)};
}

class Server final : public Control {
 public:
  Server(Configuration configuration, LoadConfiguration load)
      : config_(std::move(configuration.config)),
        users_(std::move(configuration.users)),
        tls_(std::move(configuration.tls)),
        upstreams_(std::move(configuration.upstreams)),
        files_(std::move(configuration.files)),
        load_(std::move(load)) {}
  int run(const Attend& attend);
  // From any thread but the main one.
  [[nodiscard]] std::expected<Reloaded, ReloadRefusal> reload() override;

 private:
  bool prepare();
  bool meet_manager();
  bool start_helper();
  bool fork_helper(bool by_ticket);
  [[nodiscard]] bool helper_is_a_unit() const noexcept { return !config_.helper.socket.empty(); }
  bool start_file_keeper();
  bool build_engines();
  bool open_listeners();
  bool enclose();
  bool keep_records();
  bool open_helper_office();
  bool open_accounting();
  void remember_quotas();
  bool recruit();
  void listen();
  void hand_over(OpenedListener& opened);
  void forget_secrets();
  [[nodiscard]] bool enclose_worker();
  void banner();
  void work();
  void supervise();
  void beat();
  [[nodiscard]] std::string serving() const;
  int farewell();
  void end_helper();
  void refresh_own_addresses();
  void on_signal(int signal);
  void on_hangup();
  void answer_requests();
  [[nodiscard]] std::expected<Reloaded, ReloadRefusal> reload_now();
  [[nodiscard]] std::expected<Reloaded, ReloadRefusal> try_reload();
  [[nodiscard]] std::expected<ListenerChanges, ReloadRefusal> prepare_listeners(const config::Config& next) const;
  [[nodiscard]] std::vector<std::string> fixed_until_restart(const config::Config& next) const;
  Worker::Enforced put_in_force(ListenerChanges changes);
  [[nodiscard]] std::shared_ptr<const Common> common() const;

  config::Config config_;
  std::shared_ptr<const auth::Users> users_;
  TlsServers tls_;
  route::UpstreamPlans upstreams_;
  std::shared_ptr<auth::Penalties> penalties_ = std::make_shared<auth::Penalties>();
  std::unique_ptr<auth::LoginOffice> office_;  // outlives the crews' verifiers
  std::vector<std::string> files_;             // from which the configuration was read
  LoadConfiguration load_;
  std::optional<sys::ServiceManager> manager_;
  std::optional<Heartbeat> heartbeat_;  // where the manager asks for it
  std::optional<Enclosure> enclosure_;
  std::string enclosed_;                          // in a line
  std::unique_ptr<sys::FileKeeper> file_keeper_;  // absent: no sandbox
  std::uint64_t generation_ = 0;
  observe::Diagnostics diagnostics_;
  std::optional<auth::StartedHelper> helper_;  // absent: no listener needs one, or it is a unit
  std::unique_ptr<auth::HelperOffice>
      helper_office_;  // absent: no listener needs one; holds the helper's socket, tells diagnostics_
  std::unique_ptr<observe::RecordSink> sink_;
  std::unique_ptr<observe::Accounting> accounting_;  // absent: no accounts are kept
  std::unique_ptr<SinkReporter> reporter_;
  std::unique_ptr<const auth::DigestKey> digest_key_;  // until office_ has it
  std::vector<std::unique_ptr<Crew>> crews_;
  std::vector<OpenedListener> opened_;  // until the crews have them
  std::vector<Bound> listening_;
  std::shared_ptr<const policy::Policy> loopback_preset_ =
      std::make_shared<const policy::Policy>(policy::Policy::loopback_preset());
  std::shared_ptr<const policy::Policy> deny_all_ = std::make_shared<const policy::Policy>(policy::Policy::deny_all());
  std::shared_ptr<relay::LiveSockets> live_sockets_ = std::make_shared<relay::LiveSockets>();
  std::shared_ptr<ProbeGate> probe_gate_ = std::make_shared<ProbeGate>();
  std::shared_ptr<Usage> usage_ = std::make_shared<Usage>(local_periods);
  SpentSince spent_since_;  // absent: no accounts are kept
  std::vector<Cidr> own_addresses_;
  std::optional<sys::SignalQueue> signals_;
  std::optional<sys::OwnAddressMonitor> own_monitor_;
  std::optional<sys::Notification> worker_ended_;
  std::optional<sys::Notification> asked_;
  std::mutex requests_mutex_;
  std::condition_variable request_answered_;
  std::vector<ReloadRequest*> requests_;  // under requests_mutex_, as what they point to
  bool takes_requests_ = true;            // under requests_mutex_
  std::atomic<std::size_t> crews_ended_{0};
  std::atomic<bool> not_enclosed_{false};  // a worker could not give up what it should
  int signals_seen_ = 0;
  Duration next_beat_{};  // as of sys::monotonic_now()
};

// Up to the enclosure there is one thread, because each thread is enclosed for itself; behind it everything is opened
// with the rights that are left, so that what a reload opens once more can be opened then.
int Server::run(const Attend& attend) {
  if (!prepare() || !build_engines() || !open_listeners()) return 1;
  std::unique_ptr<Attendant> attendant;
  if (attend != nullptr && (attendant = attend(*this)) == nullptr) return 1;
  if (!enclose() || !keep_records() || !recruit()) return 1;
  listen();
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
  if (!meet_manager() || !start_helper() || !start_file_keeper()) return false;
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
  const bool by_ticket = admits(config_, AuthMethod::gssapi);
  auto missing = not_built_in(config_, AuthMethod::gssapi);
  if (!missing && !helper_is_a_unit()) missing = not_built_in(config_, AuthMethod::pam);
  if (missing) {
    diagnostics_.error(missing->what, missing->why, missing->cure);
    return false;
  }
  if (!helper_is_a_unit() && !fork_helper(by_ticket)) return false;
  if (by_ticket) protect::prepare_gssapi();
  return true;
}

bool Server::fork_helper(bool by_ticket) {
  auth::HelperPlan plan = plan_helper(config_);
  plan.forget = [this] { forget_secrets(); };
  if (!by_ticket) plan.accept = nullptr;
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
  if (listening_.empty()) {
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

void Server::listen() {
  for (OpenedListener& opened : opened_) hand_over(opened);
  opened_.clear();
  for (const auto& crew : crews_) crew->worker->publish(common());
}

// Before the workers' threads run, or on each of them.
void Crew::listen(const Bound& bound, const Admission& admission, sys::UniqueFd descriptor) {
  engine::Socket socket;
  engine->take(socket, std::move(descriptor), engine::EpollEngine::Role::listener);
  if (bound.listener.is_unix()) return worker->listen_local(socket, bound.where(), admission);
  worker->listen_at(socket, bound.endpoint, admission);
}

void Server::hand_over(OpenedListener& opened) {
  const Admission admission = admission_of(config_, tls_, opened.bound.listener);
  for (std::size_t i = 0; i < crews_.size(); ++i) {
    crews_[i]->listen(opened.bound, admission, std::move(opened.descriptors[i]));
  }
}

void Server::banner() {
  for (const Bound& bound : listening_) {
    diagnostics_.notice(fmt::format("listening on {} ({}): {}", bound.where(), admitted(config_, bound.listener),
                                    who_may(config_, bound.listener)));
    if (config::sends_passwords_in_clear(config_, bound.listener)) {
      diagnostics_.warning(fmt::format("passwords for {} cross the network in clear", bound.where()),
                           "let clients reach it through a tunnel or a network of your own");
    }
  }
  if (users_ != nullptr) {
    const std::size_t count = users_->records().size();
    diagnostics_.notice(fmt::format("{} user{} in {}", count, count == 1 ? "" : "s", config_.users.file));
  }
  for (const std::string& fact : outside_facts(config_)) diagnostics_.notice(fact);
  if (!enclosed_.empty()) diagnostics_.notice(fmt::format("sandbox: {}", enclosed_));
  if (config_.policy != nullptr && !own_addresses_.empty()) {
    for (const Shortcoming& one : missing_egress(*config_.policy, own_addresses_)) {
      diagnostics_.warning(one.what, one.why, one.cure);
    }
  }
  const Bound& first = listening_.front();
  diagnostics_.notice(fmt::format("{} worker{}; try: {}", crews_.size(), crews_.size() == 1 ? "" : "s",
                                  trial(config_, first.listener, first.endpoint)));
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
                                 own_monitor_ ? own_monitor_->descriptor() : -1};
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
      answer_requests();
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
  for (const config::Outside* const outside : {&config_.udp.outside, &config_.bind.outside}) {
    for (const Address& address : outside->advertise) common->own.local_routes.push_back(Cidr::host(address));
  }
  common->udp = config_.udp;
  common->bind = config_.bind;
  common->log_query = config_.log_query;
  if (accounting_ != nullptr) common->accounting_interim = config_.accounting.interim;
  common->proxy_protocol_to = config_.proxy_protocol_to;
  common->upstreams = upstreams_;
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

// ── reload ──────────────────────────────────────────────────────────────────────────────────────────────────────────

std::expected<Reloaded, ReloadRefusal> Server::reload() {
  ReloadRequest request{.answered = false, .answer = {}};
  std::unique_lock lock(requests_mutex_);
  if (takes_requests_) {
    requests_.push_back(&request);
    asked_->notify();
    request_answered_.wait(lock, [&] { return request.answered; });
    return std::move(request.answer);
  }
  return std::unexpected(ReloadRefusal{.bad_configuration = false, .messages = {"the server is shutting down"}});
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
std::expected<Reloaded, ReloadRefusal> Server::reload_now() {
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
std::expected<Reloaded, ReloadRefusal> Server::try_reload() {
  const auto refuse = [](std::string why) {
    return std::unexpected(ReloadRefusal{.bad_configuration = false, .messages = {std::move(why)}});
  };
  if (signals_seen_ > 0 || crews_ended_.load() > 0) return refuse("the server is shutting down");
  if (load_ == nullptr) return refuse("there is no configuration file to read again; start with --config");
  auto next = load_();
  if (!next) {
    return std::unexpected(ReloadRefusal{.bad_configuration = true, .messages = std::move(next.error())});
  }
  if (config::needs_helper(next->config) && helper_office_ == nullptr) {
    return refuse(
        "a listener's `auth` says pam, command or gssapi, and their helper comes with the start of the server only; "
        "restart it");
  }
  auto changes = prepare_listeners(next->config);
  if (!changes) return std::unexpected(std::move(changes.error()));
  Reloaded reloaded{.generation = ++generation_, .ended = 0, .kept = 0, .notes = fixed_until_restart(next->config)};
  config_ = std::move(next->config);
  users_ = std::move(next->users);
  remember_quotas();
  tls_ = std::move(next->tls);
  upstreams_ = std::move(next->upstreams);
  const Worker::Enforced enforced = put_in_force(std::move(*changes));
  reloaded.ended = enforced.ended;
  reloaded.kept = enforced.kept;
  diagnostics_.notice(fmt::format("reloaded (generation {}): {} sessions live on, {} were ended", reloaded.generation,
                                  reloaded.kept, reloaded.ended));
  return reloaded;
}

std::expected<ListenerChanges, ReloadRefusal> Server::prepare_listeners(const config::Config& next) const {
  ListenerChanges changes;
  std::vector<Bound> left = listening_;
  for (const config::Listener& listener : next.listeners) {
    const auto same = [&](const Bound& bound) { return bound.listener.where() == listener.where(); };
    if (const auto bound = std::ranges::find_if(left, same); bound != left.end()) {
      if (bound->listener.file != listener.file) {
        return std::unexpected(ReloadRefusal{
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
      return std::unexpected(
          ReloadRefusal{.bad_configuration = false,
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

}  // namespace

int serve(Configuration configuration, LoadConfiguration load, const Attend& attend) {
  return Server(std::move(configuration), std::move(load)).run(attend);
}

}  // namespace stile::server
