#include "forward/run_forward.h"

#include <csignal>
#include <expected>
#include <memory>
#include <string>
#include <utility>

#include "engine/epoll/epoll_engine.h"
#include "forward/datagram_ports.h"
#include "forward/reverse.h"
#include "observe/counters.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "server/listening.h"
#include "server/through_upstreams.h"
#include "server/worker.h"
#include "sys/diverted_socket.h"
#include "sys/errno_table.h"
#include "sys/main_loop.h"
#include "sys/process_limits.h"

namespace stile::forward {
namespace {

Refusal cannot_start(const Error& error) {
  return {"start", {std::string(sys::describe(error)), "raise the process's limits"}};
}

// ── listeners ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// One that is open. For TCP and Unix-domain sockets `stream`, else `datagrams`.
struct Open {
  Target target;
  std::optional<server::OpenedListener> stream;
  std::optional<sys::OwnDatagrams> datagrams;

  [[nodiscard]] std::string place() const { return stream ? stream->bound.where() : datagrams->local.to_string(); }
};

/// The refusal may say that this host has no such address.
struct Closed {
  Refusal refusal;
  bool missing = false;
};

std::expected<Open, Closed> open_stream(const config::Listener& listener, const Target& target) {
  std::vector<sys::GivenSocket> given;
  auto opened = server::open_listener(listener, 1, given, std::nullopt);
  if (opened) return Open{.target = target, .stream = *std::move(opened), .datagrams = {}};
  const server::ListenRefusal& refused = opened.error();
  const std::string cure = listener.is_unix() ? refused.cure : refused.missing ? "" : "choose another port";
  return std::unexpected(Closed{{"listen on " + listener.where(), {refused.why, cure}}, refused.missing});
}

std::expected<Open, Closed> open_datagrams(const Endpoint& at, const Target& target) {
  auto opened = sys::open_own_datagrams(at);
  if (opened) return Open{.target = target, .stream = {}, .datagrams = *std::move(opened)};
  const bool missing = opened.error().kind == ErrorKind::address_unavailable;
  return std::unexpected(Closed{{"listen on " + at.to_string() + "/udp",
                                 {std::string(sys::describe(opened.error())), missing ? "" : "choose another port"}},
                                missing});
}

std::expected<void, Refusal> open(const Forward& forward, std::vector<Open>& into) {
  std::vector<config::Listener> places(1);
  places.front().file.path = forward.path;
  places.front().file.mode = 0600;  // whoever connects goes through the proxy as this user
  if (forward.path.empty()) places.clear();
  for (const Endpoint& at : forward.at) places.emplace_back().address = at;
  bool first = true;
  for (const config::Listener& place : places) {
    auto opened =
        forward.datagrams ? open_datagrams(place.address, forward.target) : open_stream(place, forward.target);
    const bool spared = !first && !opened && opened.error().missing;  // a host without IPv6 has one loopback
    if (!opened && !spared) return std::unexpected(std::move(opened.error().refusal));
    if (opened) into.push_back(*std::move(opened));
    first = false;
  }
  return {};
}

std::expected<std::vector<Open>, Refusal> open_all(const Plan& plan) {
  std::vector<Open> opened;
  for (const Forward& forward : plan.forwards) {
    if (auto done = open(forward, opened); !done) return std::unexpected(std::move(done.error()));
  }
  return opened;
}

// ── the run ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// With everything it stands on, in the order of construction.
class Run {
 public:
  Run(engine::EpollEngine& engine, resolve::CaresResolver& dns, sys::SignalQueue& signals, Teller& teller,
      const Plan& plan)
      : engine_(engine),
        signals_(signals),
        teller_(teller),
        resolver_(engine, dns, resolve::CachingResolver::Options{.hosts_path = "/etc/hosts"}),
        upstreams_(engine, resolver_),
        datagrams_(engine, resolver_, {.upstreams = upstreams_, .via = server::names_of(plan.upstreams)}, &teller),
        worker_(engine, resolver_, counters_, &teller, server::common_through(plan.upstreams)),
        reverses_({.engine = engine,
                   .resolver = resolver_,
                   .hops = server::hops_of(plan.upstreams),
                   .teller = teller,
                   .refused = [this](const session::Advice& advice) { refused(advice); }}),
        plan_(plan) {
    signal_watch_.bind<&Run::on_signal>(this);
    resolver_closed_.bind<&Run::on_resolver_closed>(this);
    upstreams_.use(plan.upstreams);
    teller_.look_at([this] {
      auto figures = worker_.upstream_figures();
      for (route::ServerFigures& one : upstreams_.figures()) figures.push_back(std::move(one));
      return figures;
    });
  }
  ~Run() { teller_.look_at(nullptr); }

  std::optional<Refusal> work(std::vector<Open> opened) {
    engine_.adopt(signal_watch_, signals_.descriptor());
    engine_.wait(signal_watch_, engine::Interest::readable);
    for (Open& one : opened) serve(one);
    for (const Reverse& one : plan_.reverses) reverses_.add(one.port, plan_.from, one.target);
    worker_.run();
    reverses_.stop();
    datagrams_.stop();
    while (!reverses_.quiet() || !datagrams_.quiet()) turn();
    upstreams_.stop();
    engine_.release(signal_watch_);
    resolver_.close(resolver_closed_);
    engine_.run();
    return std::move(refusal_);
  }

 private:
  void serve(Open& one) {
    const std::string place = one.place();
    teller_.listening(place, one.stream ? "tcp" : "udp", one.target.to_string());
    if (one.datagrams) return datagrams_.serve(*std::move(one.datagrams), one.target);
    engine::Socket listening;
    engine_.take(listening, std::move(one.stream->descriptors.front()), engine::EpollEngine::Role::listener);
    const server::Bound& bound = one.stream->bound;
    const auto local = bound.listener.is_unix() ? std::nullopt : std::optional(bound.endpoint);
    worker_.listen_forwarding(listening, local, place, one.target);
    files_.push_back(bound.file);
  }

  void turn() {
    engine_.stop();
    engine_.run();
  }

  void on_signal(engine::Status status) {
    if (status == engine::Status::canceled) return;
    bool any = false;
    while (signals_.next()) any = true;
    if (any) worker_.request_stop();
    engine_.wait(signal_watch_, engine::Interest::readable);
  }

  void refused(const session::Advice& advice) {
    refusal_ = Refusal{"have the proxy listen", advice};
    worker_.request_stop();
  }

  void on_resolver_closed(engine::Status) { engine_.stop(); }

  engine::EpollEngine& engine_;
  sys::SignalQueue& signals_;
  Teller& teller_;
  resolve::CachingResolver resolver_;
  observe::Counters counters_;
  route::Upstreams upstreams_;  // of datagrams
  DatagramPorts datagrams_;
  server::Worker worker_;
  Reverses reverses_;
  const Plan& plan_;
  std::vector<std::shared_ptr<const sys::UnixListener>> files_;
  engine::Socket signal_watch_;
  engine::Operation resolver_closed_;
  std::optional<Refusal> refusal_;
};

}  // namespace

std::optional<Refusal> run_forward(const Plan& plan) {
  sys::ignore_broken_pipes();
  auto signals = sys::SignalQueue::create({SIGINT, SIGTERM, SIGHUP});
  if (!signals) return cannot_start(signals.error());
  (void)sys::raise_descriptor_limit();
  auto opened = open_all(plan);
  if (!opened) return std::move(opened.error());
  auto teller = Teller::create(plan.manner);
  if (!teller) return cannot_start(teller.error());
  auto engine = engine::EpollEngine::create();
  if (!engine) return cannot_start(engine.error());
  auto dns = resolve::CaresResolver::create(**engine, {});
  if (!dns) return cannot_start(dns.error());
  Run run(**engine, **dns, *signals, **teller, plan);
  return run.work(*std::move(opened));
}

}  // namespace stile::forward
