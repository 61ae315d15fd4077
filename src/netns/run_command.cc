#include "netns/run_command.h"

#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "engine/epoll/epoll_engine.h"
#include "netns/datagrams.h"
#include "netns/inside.h"
#include "netns/listeners.h"
#include "netns/ping_judge.h"
#include "netns/pings.h"
#include "netns/traces.h"
#include "observe/record_sink.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "resolve/stand_in_names.h"
#include "server/name_server.h"
#include "server/through_upstreams.h"
#include "server/worker.h"
#include "sys/errno_table.h"
#include "sys/file.h"
#include "sys/foreground_command.h"
#include "sys/main_loop.h"
#include "sys/private_files.h"
#include "sys/private_network.h"
#include "sys/process_limits.h"
#include "sys/record_socket.h"
#include "sys/socket_calls.h"
#include "sys/terminal.h"

namespace stile::netns {
namespace {

using Opening = sys::PrivateNetworkPlan::Opening;
using Kind = Opening::Kind;

// The sockets of the network, in the order of its plan.
enum Socket : std::size_t {
  entrance_v4,
  entrance_v6,
  names_v4,
  names_v6,
  name_streams_v4,
  name_streams_v6,
  datagrams_v4,
  datagrams_v6,
  packets_v4,
  packets_v6,
  echoes_v4,
  echoes_v6,
  replies_v4,
  replies_v6,
  errors_v4,
  errors_v6
};

// The steps of preparing the command.
enum Step : int { enter_network, see_files, hand_over_calls };

constexpr const char* nsswitch_path = "/etc/nsswitch.conf";

/// Folders of processes outside that look names up for whoever asks, by sockets that no network keeps from anybody.
const std::vector<std::string>& asking_folders() {
  static const std::vector<std::string> folders{"/run/systemd/resolve", "/run/nscd", "/var/run/nscd",
                                                "/run/avahi-daemon"};
  return folders;
}

sys::PrivateNetworkPlan network_plan() {
  const Address any_v4;
  const Address any_v6 = *Address::parse("::");
  return {.addresses = {resolve::own_v4(), resolve::own_v6()},
          .rules = packet_rules(),
          .openings = {{Kind::diverted_listener, {resolve::own_v4(), entrance_port}},
                       {Kind::diverted_listener, {resolve::own_v6(), entrance_port}},
                       {Kind::addressed_datagrams, {any_v4, name_port}},
                       {Kind::addressed_datagrams, {any_v6, name_port}},
                       {Kind::diverted_listener, {any_v4, name_port}},
                       {Kind::diverted_listener, {any_v6, name_port}},
                       {Kind::addressed_datagrams, {resolve::own_v4(), entrance_port}},
                       {Kind::addressed_datagrams, {resolve::own_v6(), entrance_port}},
                       {Kind::packet_source, {any_v4, 0}},
                       {Kind::packet_source, {any_v6, 0}},
                       {Kind::echo_requests, {any_v4, 0}},
                       {Kind::echo_requests, {any_v6, 0}},
                       {Kind::packet_source, {any_v4, 0}},
                       {Kind::packet_source, {any_v6, 0}},
                       {Kind::packet_source, {any_v4, 0}},
                       {Kind::packet_source, {any_v6, 0}}}};
}

std::vector<sys::PrivateFile> private_files() {
  std::vector<sys::PrivateFile> files{{"/etc/resolv.conf", resolv_conf()},
                                      {"/run/systemd/resolve/resolv.conf", resolv_conf()},
                                      {"/run/systemd/resolve/stub-resolv.conf", resolv_conf()}};
  const auto own = sys::read_file(nsswitch_path, limits::nsswitch_octets_max);
  if (own) files.push_back({nsswitch_path, nsswitch_conf(*own)});
  return files;
}

std::string own_name() {
  const auto text = sys::read_file("/proc/sys/kernel/hostname", limits::nsswitch_octets_max);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

// ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────

RunRefusal refusal_of(const sys::PrivateNetworkRefusal& refused) {
  using Refused = sys::PrivateNetworkRefusal::Step;
  RunRefusal refusal{.what = "make a private network", .why = std::string(sys::describe(refused.error)), .cure = {}};
  switch (refused.step) {
    case Refused::user_namespace:
    case Refused::network_namespace:
    case Refused::identity:
      refusal.is_system = true;
      refusal.why = "this system lets this user have none: " + refusal.why;
      refusal.cure =
          "allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
          "kernel.apparmor_restrict_unprivileged_userns; in a container, its seccomp profile";
      break;
    case Refused::rules:
      refusal.is_system = true;
      refusal.why = "its packets cannot be diverted: " + refused.told;
      refusal.cure = "the kernel's modules nf_tables and nft_tproxy are needed";
      break;
    case Refused::process:
    case Refused::loopback:
    case Refused::sockets:
      break;
  }
  return refusal;
}

RunRefusal cannot_start(const Error& error) {
  return {.what = "start", .why = std::string(sys::describe(error)), .cure = "raise the process's limits"};
}

RunRefusal refusal_of(const sys::CommandRefusal& refused, const std::string& command) {
  const std::string why(sys::describe(refused.error));
  if (!refused.preparing) {
    return {.what = "run " + command,
            .why = why,
            .cure = {},
            .is_command = true,
            .is_not_found = refused.error.kind == ErrorKind::not_found};
  }
  if (refused.step == hand_over_calls) return {.what = "hear the command's calls", .why = why, .cure = {}};
  if (refused.step == enter_network) return {.what = "enter the private network", .why = why, .cure = {}};
  return {.what = "give the command its own resolv.conf", .why = why, .cure = "mounts must be allowed here"};
}

// ── the server ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// Addresses that stand for no name any longer are nobody's.
std::string stand_in_rule() {
  return "stand-in: deny anyone to " + std::string(resolve::stand_in_prefix_v4) + ", [" +
         std::string(resolve::stand_in_prefix_v6) + "]\n";
}

/// The one that can be asked to ping, and to trace; nullptr: there is none.
const route::Hop* pinging_proxy(const route::UpstreamPlans& upstreams) {
  if (upstreams.size() != 1) return nullptr;
  const route::Hop& hop = upstreams.front()->hops.front();
  return hop.url.protocol == wire::ProxyProtocol::socks5 ? &hop : nullptr;
}

void tell(bool wanted, const std::string& what) {
  if (wanted) std::fputs(("stile: " + what + "\n").c_str(), stderr);
}

class Called final : public server::CalledHosts {
 public:
  explicit Called(resolve::StandInNames& names) noexcept : names_(names) {}
  [[nodiscard]] Host host_of(const Address& called) override { return names_.host_of(called); }

 private:
  resolve::StandInNames& names_;
};

/// The server and the command, in the order of construction.
class Run {
 public:
  Run(engine::EpollEngine& engine, resolve::CaresResolver& dns, server::Reporter* reporter,
      sys::ForegroundCommand& command, sys::SignalQueue& signals, const sys::PrivateNetwork& network,
      const route::UpstreamPlans& upstreams)
      : engine_(engine),
        command_(command),
        signals_(signals),
        resolver_(engine, dns, resolve::CachingResolver::Options{.hosts_path = "/etc/hosts"}),
        name_source_(names_, own_name()),
        name_server_(engine, name_source_),
        common_(server::common_through(upstreams, stand_in_rule())),
        upstreams_(engine, resolver_),
        datagrams_(engine, resolver_, {.upstreams = upstreams_, .via = server::names_of(upstreams)}, names_, reporter),
        prober_(pinging_proxy(upstreams)),
        pings_(engine, resolver_, prober_, names_),
        traces_(engine, resolver_, prober_, names_),
        worker_(engine, resolver_, counters_, reporter, common_),
        listeners_({.engine = engine,
                    .resolver = resolver_,
                    .upstreams = upstreams_,
                    .via = server::names_of(upstreams),
                    .hops = server::hops_of(upstreams),
                    .names = names_,
                    .network = network,
                    .worker = worker_,
                    .reporter = reporter,
                    .tell = [reporter](const std::string& what) { tell(reporter != nullptr, what); }}) {
    signal_watch_.bind<&Run::on_signal>(this);
    command_watch_.bind<&Run::on_command>(this);
    resolver_closed_.bind<&Run::on_resolver_closed>(this);
    datagrams_deadline_.bind<&Run::on_datagrams_deadline>(this);
    upstreams_.use(upstreams);
    datagrams_.trace_by(traces_);
    pings_.trace_by(traces_);
  }

  /// `calls`: not open where they cannot be heard.
  void serve(std::vector<sys::UniqueFd> sockets, sys::UniqueFd calls) {
    listen(std::move(sockets[entrance_v4]), resolve::own_v4());
    listen(std::move(sockets[entrance_v6]), resolve::own_v6());
    for (const Socket one : {names_v4, names_v6}) {
      if (sockets[one]) name_server_.serve_datagrams(std::move(sockets[one]));
    }
    for (const Socket one : {name_streams_v4, name_streams_v6}) {
      if (sockets[one]) name_server_.serve_streams(std::move(sockets[one]));
    }
    for (const auto& [one, source] : {std::pair(datagrams_v4, packets_v4), std::pair(datagrams_v6, packets_v6)}) {
      if (sockets[one] && sockets[source]) datagrams_.serve(std::move(sockets[one]), std::move(sockets[source]));
    }
    if (sockets[echoes_v4]) {
      pings_.serve(Family::ipv4, std::move(sockets[echoes_v4]), std::move(sockets[replies_v4]));
    }
    if (sockets[echoes_v6]) {
      pings_.serve(Family::ipv6, std::move(sockets[echoes_v6]), std::move(sockets[replies_v6]));
    }
    traces_.answer_by(Family::ipv4, std::move(sockets[errors_v4]));
    traces_.answer_by(Family::ipv6, std::move(sockets[errors_v6]));
    if (calls) listeners_.serve(std::move(calls), entrances_.front());
  }

  /// Until the command has ended, and what it sent has been delivered.
  int work() {
    engine_.adopt(signal_watch_, signals_.descriptor());
    engine_.adopt(command_watch_, command_.descriptor());
    engine_.wait(signal_watch_, engine::Interest::readable);
    engine_.wait(command_watch_, engine::Interest::readable);
    worker_.run();
    send_last_datagrams();
    engine_.release(signal_watch_);
    engine_.release(command_watch_);
    resolver_.close(resolver_closed_);
    engine_.run();
    return exit_code_;
  }

 private:
  void listen(sys::UniqueFd fd, const Address& at) {
    if (!fd) return;
    engine::Socket listening;
    engine_.take(listening, std::move(fd), engine::EpollEngine::Role::listener);
    const Endpoint local{at, entrance_port};
    entrances_.push_back(local.to_string());
    worker_.listen_diverted(listening, local, entrances_.back(), called_);
  }

  // A terminal's signals reach the command by themselves.
  void on_signal(engine::Status status) {
    if (status == engine::Status::canceled) return;
    while (const auto signal = signals_.next_with_sender()) {
      if (ended_) {
        worker_.request_stop();
      } else if (!signal->by_kernel) {
        command_.signal(signal->number);
      }
    }
    engine_.wait(signal_watch_, engine::Interest::readable);
  }

  void on_command(engine::Status status) {
    if (status == engine::Status::canceled) return;
    const auto ending = command_.ended();
    if (!ending) return engine_.wait(command_watch_, engine::Interest::readable);
    exit_code_ = ending->signal != 0 ? 128 + ending->signal : ending->code;
    ended_ = true;
    finish();
  }

  // The kernel delivers what a program has sent before it ended, and so do we, as long as it moves.
  void finish() {
    for (const std::string& entrance : entrances_) worker_.close_listener(entrance);
    auto ending = std::make_shared<server::Common>(*common_);
    ending->limits.idle = limits::run_end_quiet;
    ending->limits.half_closed = limits::run_end_quiet;
    ending->limits.drain = limits::run_end_total;
    worker_.adopt(std::move(ending));
    name_server_.stop();
    listeners_.stop();
    worker_.request_drain();
  }

  void send_last_datagrams() {
    datagrams_.finish();
    engine_.start_timer(datagrams_deadline_, engine_.now() + limits::run_end_quiet);
    pings_.stop();
    traces_.stop();
    listeners_.stop();
    while (!listeners_.quiet()) {
      engine_.stop();
      engine_.run();
    }
    while (!datagrams_.quiet() || !pings_.quiet() || !traces_.quiet()) engine_.run();
    engine_.cancel(datagrams_deadline_);
    upstreams_.stop();
  }
  void on_datagrams_deadline(engine::Status status) {
    if (status == engine::Status::done) datagrams_.stop();
  }

  void on_resolver_closed(engine::Status) { engine_.stop(); }

  engine::EpollEngine& engine_;
  sys::ForegroundCommand& command_;
  sys::SignalQueue& signals_;
  resolve::CachingResolver resolver_;
  resolve::StandInNames names_;
  Called called_{names_};
  server::StandInSource name_source_;
  server::NameServer name_server_;
  observe::Counters counters_;
  std::shared_ptr<const server::Common> common_;
  route::Upstreams upstreams_;
  Datagrams datagrams_;
  SoleProxy prober_;
  Pings pings_;
  Traces traces_;
  server::Worker worker_;
  Listeners listeners_;
  engine::Timer datagrams_deadline_;
  engine::Socket signal_watch_;
  engine::Socket command_watch_;
  engine::Operation resolver_closed_;
  std::vector<std::string> entrances_;
  int exit_code_ = 1;
  bool ended_ = false;
};

}  // namespace

std::expected<int, RunRefusal> run_command(const RunPlan& plan) {
  auto network = sys::PrivateNetwork::create(network_plan());
  if (!network) return std::unexpected(refusal_of(network.error()));
  const std::vector<sys::PrivateFile> files = private_files();
  auto calls = sys::record_pair();
  if (!calls) return std::unexpected(cannot_start(calls.error()));
  auto command =
      sys::ForegroundCommand::fork(plan.words, plan.environment, [&]() -> std::optional<sys::ForegroundCommand::Fault> {
        if (auto entered = network->enter(); !entered) return {{enter_network, entered.error()}};
        if (auto seen = sys::see_private_files(files, asking_folders()); !seen) return {{see_files, seen.error()}};
        // Without anybody who hears them, calls would fail.
        if (auto sent = sys::send_descriptor(calls->there.get(), sys::hear_socket_calls()); !sent) {
          return {{hand_over_calls, sent.error()}};
        }
        return std::nullopt;
      });
  if (!command) return std::unexpected(cannot_start(command.error()));
  // Only now: the command has its signals as they came.
  auto signals = sys::SignalQueue::create({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2});
  if (!signals) return std::unexpected(cannot_start(signals.error()));
  (void)sys::raise_descriptor_limit();
  auto sink = observe::RecordSink::create(sys::standard_error,
                                          plan.tells ? observe::RecordFormat::text : observe::RecordFormat::none);
  if (!sink) return std::unexpected(cannot_start(sink.error()));
  server::Teller teller(**sink);
  auto engine = engine::EpollEngine::create();
  if (!engine) return std::unexpected(cannot_start(engine.error()));
  auto dns = resolve::CaresResolver::create(**engine, {});
  if (!dns) return std::unexpected(cannot_start(dns.error()));
  // What it connects to before there is a server waits for it.
  if (const auto refused = command->start()) return std::unexpected(refusal_of(*refused, plan.words.front()));
  auto heard = sys::receive_descriptor(calls->here.get());
  if (!heard && heard.error().kind == ErrorKind::no_descriptors) return std::unexpected(cannot_start(heard.error()));
  if (!heard)
    tell(plan.tells, "programs listen inside only: this system does not let their calls be heard: " +
                         std::string(sys::describe(heard.error())));
  Run run(**engine, **dns, plan.tells ? &teller : nullptr, *command, *signals, *network, plan.upstreams);
  run.serve(std::move(network->sockets), heard ? *std::move(heard) : sys::UniqueFd());
  return run.work();
}

}  // namespace stile::netns
