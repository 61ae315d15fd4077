#include "server/serve.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "observe/counters.h"
#include "observe/diagnostics.h"
#include "observe/record_sink.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "server/banner.h"
#include "server/worker.h"
#include "sys/errno_table.h"
#include "sys/icmp_socket.h"
#include "sys/main_loop.h"
#include "sys/own_addresses.h"
#include "sys/process_limits.h"
#include "sys/terminal.h"
#include "sys/unix_listener.h"

namespace stile::server {
namespace {

class SinkReporter final : public Reporter {
 public:
  explicit SinkReporter(observe::RecordSink& sink) noexcept : sink_(sink) {}
  void report(const observe::Record& record) noexcept override { sink_.write(record); }

 private:
  observe::RecordSink& sink_;
};

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
  std::unique_ptr<resolve::CaresResolver> dns;
  std::unique_ptr<resolve::CachingResolver> resolver;
  observe::Counters counters;
  std::unique_ptr<Worker> worker;
  std::thread thread;

  /// On the worker's thread: until everything ended and nothing is pending in the engine.
  void run() {
    worker->run();
    engine::Operation resolver_closed;
    resolver_closed.bind<&Crew::on_resolver_closed>(this);
    resolver->close(resolver_closed);
    engine->run();
  }

 private:
  void on_resolver_closed(engine::Status) { engine->stop(); }
};

/// A listener that is open, and where: a port of 0 was chosen by the kernel.
struct Bound {
  const config::Listener* listener = nullptr;
  Endpoint endpoint;  // of an IP listener

  [[nodiscard]] std::string where() const { return listener->is_unix() ? listener->where() : endpoint.to_string(); }
};

class Server {
 public:
  explicit Server(const config::Config& config) : config_(config) {}
  int run();

 private:
  bool prepare();
  bool recruit();
  bool listen();
  bool listen_at_file(const config::Listener& listener);
  std::optional<Endpoint> listen_everywhere(const config::Listener& listener, Error& error);
  void banner();
  void work();
  void supervise();
  int farewell();
  void refresh_own_addresses();
  void on_signal(int signal);
  [[nodiscard]] std::shared_ptr<const Common> common() const;

  const config::Config& config_;
  observe::Diagnostics diagnostics_;
  std::unique_ptr<observe::RecordSink> sink_;
  std::unique_ptr<SinkReporter> reporter_;
  std::vector<std::unique_ptr<Crew>> crews_;
  std::vector<Bound> listening_;
  std::vector<sys::UnixListener> socket_files_;
  std::shared_ptr<const policy::Policy> loopback_preset_ =
      std::make_shared<const policy::Policy>(policy::Policy::loopback_preset());
  std::shared_ptr<const policy::Policy> deny_all_ = std::make_shared<const policy::Policy>(policy::Policy::deny_all());
  std::shared_ptr<relay::LiveSockets> live_sockets_ = std::make_shared<relay::LiveSockets>();
  std::shared_ptr<ProbeGate> probe_gate_ = std::make_shared<ProbeGate>();
  std::vector<Cidr> own_addresses_;
  std::optional<sys::SignalQueue> signals_;
  std::optional<sys::OwnAddressMonitor> own_monitor_;
  std::optional<sys::Notification> worker_ended_;
  std::atomic<std::size_t> crews_ended_{0};
  int signals_seen_ = 0;
};

int Server::run() {
  if (!prepare() || !recruit() || !listen()) return 1;
  banner();
  work();
  supervise();
  return farewell();
}

// Everything that must be there before a thread or a socket is: signals blocked, limits raised, own addresses known.
bool Server::prepare() {
  sys::ignore_broken_pipes();
  auto signals = sys::SignalQueue::create({SIGTERM, SIGINT});
  auto ended = sys::Notification::create();
  if (!signals || !ended) {
    diagnostics_.error("cannot start", "the kernel gives no descriptors", "raise the limit of open files");
    return false;
  }
  signals_ = std::move(*signals);
  worker_ended_ = std::move(*ended);
  if (!sys::raise_descriptor_limit()) diagnostics_.warning("cannot raise the limit of open files");
  // The monitor first: what changes between it and the dump is then reported.
  if (auto monitor = sys::OwnAddressMonitor::create()) own_monitor_ = std::move(*monitor);
  refresh_own_addresses();
  auto sink = observe::RecordSink::create(sys::standard_output, record_format(config_.log));
  if (!sink) {
    diagnostics_.error("cannot write access records", sys::describe(sink.error()));
    return false;
  }
  sink_ = std::move(*sink);
  if (sink_->wants_records()) reporter_ = std::make_unique<SinkReporter>(*sink_);
  return true;
}

bool Server::recruit() {
  const unsigned count = config_.workers == 0 ? sys::usable_cores() : config_.workers;
  for (unsigned i = 0; i < count; ++i) crews_.push_back(std::make_unique<Crew>());
  bool probes_possible = false;
  for (const auto& crew : crews_) {
    auto engine = engine::EpollEngine::create({.spin = config_.engine.spin});
    if (!engine) {
      diagnostics_.error("cannot start a worker", sys::describe(engine.error()), "ask for fewer with --workers");
      return false;
    }
    crew->engine = std::move(*engine);
    probes_possible = crew->engine->prepare_icmp();
    auto dns = resolve::CaresResolver::create(*crew->engine, {});
    if (!dns) {
      diagnostics_.error("cannot start the resolver", sys::describe(dns.error()));
      return false;
    }
    crew->dns = std::move(*dns);
    crew->resolver = std::make_unique<resolve::CachingResolver>(
        *crew->engine, *crew->dns, resolve::CachingResolver::Options{.hosts_path = "/etc/hosts"});
    crew->worker = std::make_unique<Worker>(*crew->engine, *crew->resolver, crew->counters, reporter_.get(), common());
  }
  if (!probes_possible) {
    diagnostics_.warning("PING and TRACEROUTE cannot be served: the system gives this process no ICMP socket",
                         sys::icmp_access_cure);
  }
  return true;
}

bool Server::listen() {
  for (const config::Listener& listener : config_.listeners) {
    if (listener.is_unix()) {
      if (!listen_at_file(listener)) return false;
      continue;
    }
    Error error;
    const auto where = listen_everywhere(listener, error);
    if (where) {
      listening_.push_back({&listener, *where});
    } else if (listener.optional && error.kind == ErrorKind::address_unavailable) {
      diagnostics_.warning(fmt::format("not listening on {}", listener.address.to_string()),
                           "this host has no such address");
    } else {
      const bool in_use = error.kind == ErrorKind::address_in_use;
      diagnostics_.error(fmt::format("cannot listen on {}", listener.address.to_string()), sys::describe(error),
                         in_use ? "stop the other server, or choose another address with --listen" : "");
      return false;
    }
  }
  if (listening_.empty()) {
    diagnostics_.error("cannot start", "there is no address to listen on", "name one with --listen");
    return false;
  }
  for (const auto& crew : crews_) crew->worker->publish(common());
  return true;
}

// One listening socket for all workers, each with a descriptor of its own: SO_REUSEPORT is for IP.
bool Server::listen_at_file(const config::Listener& listener) {
  const std::string what = fmt::format("cannot listen on {}", listener.where());
  sys::UnixListenerOptions options{.path = listener.file.path, .mode = listener.file.mode, .owner = {}, .group = {}};
  if (!listener.file.owner.empty()) options.owner = sys::user_id(listener.file.owner);
  if (!listener.file.group.empty()) options.group = sys::group_id(listener.file.group);
  if (options.owner.has_value() == listener.file.owner.empty() ||
      options.group.has_value() == listener.file.group.empty()) {
    diagnostics_.error(what, "its owner or group is unknown", "name one of /etc/passwd and /etc/group, or a number");
    return false;
  }
  auto opened = sys::UnixListener::create(options);
  if (!opened) {
    diagnostics_.error(what, opened.error().why, opened.error().cure);
    return false;
  }
  for (const auto& crew : crews_) {
    auto descriptor = opened->duplicate();
    if (!descriptor) {
      diagnostics_.error(what, sys::describe(descriptor.error()));
      return false;
    }
    engine::Socket socket;
    crew->engine->take(socket, std::move(*descriptor), engine::EpollEngine::Role::listener);
    crew->worker->listen_local(socket, listener.where(), {listener.protocols, listener.proxy_protocol_from});
  }
  socket_files_.push_back(std::move(*opened));
  listening_.push_back({&listener, {}});
  return true;
}

// One socket a worker. The first is opened alone and without SO_REUSEPORT, so that a second server on the same address
// is told that it is in use instead of sharing it; SO_REUSEPORT is for the workers only.
std::optional<Endpoint> Server::listen_everywhere(const config::Listener& listener, Error& error) {
  const Endpoint& wanted = listener.address;
  Endpoint where = wanted;
  if (crews_.size() > 1) {
    engine::Socket probe;
    engine::Engine& engine = *crews_.front()->engine;
    if (auto opened = engine.listen(probe, wanted, {}); !opened) {
      error = opened.error();
      return std::nullopt;
    }
    where = engine.local_endpoint(probe).value_or(wanted);
    engine.close(probe);
  }
  for (const auto& crew : crews_) {
    const Admission admission{listener.protocols, listener.proxy_protocol_from};
    const auto opened = crew->worker->listen(where, crews_.size() > 1, admission);
    if (!opened) {
      error = opened.error();
      return std::nullopt;
    }
    where = *opened;
  }
  return where;
}

void Server::banner() {
  std::string who = "clients on this host, without authentication";
  if (config_.policy != nullptr) {
    const std::size_t rules = config_.policy->rules().size();
    who = fmt::format("{} rule{} of the policy say{} who may go where", rules, rules == 1 ? "" : "s",
                      rules == 1 ? "s" : "");
  }
  for (const Bound& bound : listening_) {
    diagnostics_.notice(fmt::format("listening on {} ({}): {}", bound.where(), admitted(*bound.listener), who));
  }
  for (const std::string& fact : outside_facts(config_)) diagnostics_.notice(fact);
  const Bound& first = listening_.front();
  diagnostics_.notice(fmt::format("{} worker{}; try: {}", crews_.size(), crews_.size() == 1 ? "" : "s",
                                  trial(*first.listener, first.endpoint)));
}

void Server::work() {
  for (const auto& crew : crews_) {
    crew->thread = std::thread([this, &crew] {
      crew->run();
      crews_ended_.fetch_add(1);
      worker_ended_->notify();
    });
  }
}

void Server::supervise() {
  while (crews_ended_.load() < crews_.size()) {
    const std::array descriptors{signals_->descriptor(), worker_ended_->descriptor(),
                                 own_monitor_ ? own_monitor_->descriptor() : -1};
    const auto ready = sys::wait_readable(descriptors);
    if (!ready) continue;
    if (*ready == 0) {
      while (const auto signal = signals_->next()) on_signal(*signal);
    } else if (*ready == 1) {
      worker_ended_->clear();
    } else {
      own_monitor_->drain();
      refresh_own_addresses();
      for (const auto& crew : crews_) crew->worker->publish(common());
    }
  }
  for (const auto& crew : crews_) crew->thread.join();
}

void Server::on_signal(int signal) {
  ++signals_seen_;
  socket_files_.clear();  // nobody finds them any longer; the workers close the rest
  const char* const name = signal == SIGINT ? "interrupt" : "SIGTERM";
  if (signals_seen_ == 1) {
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
  Worker::DrainResult drained;
  for (const auto& crew : crews_) {
    drained.finished += crew->worker->drained().finished;
    drained.reset += crew->worker->drained().reset;
  }
  crews_.clear();
  diagnostics_.notice(
      fmt::format("ended; while draining, {} tunnels finished and {} were reset", drained.finished, drained.reset));
  return 0;
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
  common->limits = config_.limits;
  common->workers = static_cast<unsigned>(crews_.size());
  common->policy = config_.policy;
  common->loopback_preset = loopback_preset_;
  common->deny_all = deny_all_;
  common->live_sockets = live_sockets_;
  common->probe_gate = probe_gate_;
  common->own.local_routes = own_addresses_;
  for (const Bound& bound : listening_) {
    if (!bound.listener->is_unix()) common->own.sockets.push_back(bound.endpoint);
  }
  for (const config::Outside* const outside : {&config_.udp.outside, &config_.bind.outside}) {
    for (const Address& address : outside->advertise) common->own.local_routes.push_back(Cidr::host(address));
  }
  common->udp = config_.udp;
  common->bind = config_.bind;
  common->proxy_protocol_to = config_.proxy_protocol_to;
  for (const auto& crew : crews_) common->counters.push_back(&crew->counters);
  return common;
}

}  // namespace

int serve(const config::Config& config) {
  return Server(config).run();
}

}  // namespace stile::server
