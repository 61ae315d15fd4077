#include "client/run_connect.h"

#include <csignal>
#include <optional>
#include <string>
#include <utility>

#include "client/direct.h"
#include "client/failure.h"
#include "engine/epoll/epoll_engine.h"
#include "relay/tcp_relay.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "sys/errno_table.h"
#include "sys/main_loop.h"
#include "sys/standard_streams.h"
#include "sys/terminal.h"

namespace stile::client {
namespace {

using session::Advice;
using State = sys::StandardStreams::State;

// People leave one open for as long as they like.
constexpr relay::RelayLimits no_time_limits{.idle = Duration::zero(), .half_closed = Duration::zero()};

Advice interrupted() {
  return {"it was interrupted", ""};
}

Advice cannot_start(const Error& error) {
  return {"it cannot start: " + std::string(sys::describe(error)), "raise the process's limits"};
}

/// Why a tunnel ended; the client is this process, the target the proxy.
Advice explain(Reason reason) {
  switch (reason) {
    case Reason::fin_client:
    case Reason::fin_target:
      return {};
    case Reason::reset_target:
      return {"the connection was reset", "the target or the proxy did so"};
    case Reason::idle:
      return {"nobody answers at the other end any more", "check the network"};
    case Reason::tls_truncated:
      return {"the connection was cut short", "what came may not be all of it"};
    default:
      return {"the connection broke", "try again"};
  }
}

/// The text of a failure begins with the target.
Advice why_not(Reason reason, const Target& target) {
  const Failure failure = direct_failure(reason, target);
  if (failure.is_none()) return {};
  return {failure.text.substr(target.to_string().size() + 2), "no proxy was asked, as NO_PROXY says"};
}

/// The run with everything it stands on, in the order of construction.
class Run final : public relay::TunnelOwner {
 public:
  Run(engine::EpollEngine& engine, resolve::CaresResolver& dns, sys::SignalQueue& signals,
      sys::StandardStreams& streams, const route::Hop* proxy, const Target& target)
      : engine_(engine),
        signals_(signals),
        streams_(streams),
        resolver_(engine, dns, resolve::CachingResolver::Options{.hosts_path = "/etc/hosts"}),
        target_(target),
        relay_(engine, *this, no_time_limits) {
    if (proxy != nullptr) {
      chain_.emplace(engine, resolver_, *proxy, route::Ask{.target = target});
      chain_->bind<&Run::on_connected>(this);
    } else {
      direct_.emplace(engine, resolver_, target);
      direct_->bind<&Run::on_connected>(this);
    }
    signal_watch_.bind<&Run::on_signal>(this);
    stream_watch_.bind<&Run::on_streams>(this);
    resolver_closed_.bind<&Run::on_resolver_closed>(this);
  }

  ConnectResult work() {
    engine_.adopt(signal_watch_, signals_.descriptor());
    engine_.adopt(stream_watch_, streams_.changes());
    engine_.wait(signal_watch_, engine::Interest::readable);
    engine_.wait(stream_watch_, engine::Interest::readable);
    chain_ ? chain_->start() : direct_->start();
    engine_.run();
    engine_.release(signal_watch_);
    engine_.release(stream_watch_);
    resolver_.close(resolver_closed_);
    engine_.run();
    while (!relay_.quiet()) {  // what it cancelled completes within a turn
      engine_.stop();
      engine_.run();
    }
    return std::move(result_);
  }

 private:
  void on_connected(engine::Status) {
    result_.trouble = chain_ ? route::explain(chain_->trouble()) : why_not(direct_->reason(), target_);
    if (!result_.trouble.why.empty()) return engine_.stop();
    result_.connected = true;
    protect::Line far;
    protect::Line near;
    chain_ ? chain_->take(far) : direct_->take(far);
    engine_.take(near.socket(), streams_.take_socket(), engine::EpollEngine::Role::stream);
    streams_.start();
    relay_.start(near, far, {}, nullptr);
  }

  // Nothing is looked at.
  void request_seen(void*, const wire::HttpSighting&) noexcept override {}
  void hello_seen(void*, const wire::TlsClientHello&) noexcept override {}

  void tunnel_ended(const relay::TunnelEnd& end) noexcept override {
    over_ = true;
    if (result_.trouble.why.empty()) result_.trouble = explain(end.reason);
    stop_when_written();
  }

  void on_streams(engine::Status status) {
    if (status == engine::Status::canceled) return;
    streams_.clear();
    if (streams_.output() == State::failed) give_up({"standard output cannot be written", ""});
    if (streams_.input() == State::failed) give_up({"standard input cannot be read", ""});
    stop_when_written();
    engine_.wait(stream_watch_, engine::Interest::readable);
  }

  void on_signal(engine::Status status) {
    if (status == engine::Status::canceled) return;
    bool any = false;
    while (signals_.next()) any = true;
    engine_.wait(signal_watch_, engine::Interest::readable);
    if (!any) return;
    if (chain_ && chain_->pending()) return chain_->cancel();
    if (direct_ && direct_->pending()) return direct_->cancel();
    give_up(interrupted());
    engine_.stop();
  }

  void give_up(Advice why) {
    if (result_.trouble.why.empty()) result_.trouble = std::move(why);
    relay_.end_all(Reason::reset_client);
  }

  /// What came before the end is written, however long its reader takes.
  void stop_when_written() noexcept {
    if (over_ && streams_.output() != State::open) engine_.stop();
  }

  void on_resolver_closed(engine::Status) { engine_.stop(); }

  engine::EpollEngine& engine_;
  sys::SignalQueue& signals_;
  sys::StandardStreams& streams_;
  resolve::CachingResolver resolver_;
  const Target target_;
  std::optional<route::Chain> chain_;
  std::optional<Direct> direct_;
  relay::Relay relay_;
  engine::Socket signal_watch_;
  engine::Socket stream_watch_;
  engine::Operation resolver_closed_;
  ConnectResult result_;
  bool over_ = false;
};

}  // namespace

ConnectResult run_connect(const route::Hop* proxy, const Target& target) {
  sys::ignore_broken_pipes();
  auto signals = sys::SignalQueue::create({SIGINT, SIGTERM});
  if (!signals) return {.trouble = cannot_start(signals.error())};
  auto streams = sys::StandardStreams::create(sys::standard_input, sys::standard_output);
  if (!streams) return {.trouble = cannot_start(streams.error())};
  auto engine = engine::EpollEngine::create();
  if (!engine) return {.trouble = cannot_start(engine.error())};
  auto dns = resolve::CaresResolver::create(**engine, {});
  if (!dns) return {.trouble = cannot_start(dns.error())};
  Run run(**engine, **dns, *signals, *streams, proxy, target);
  return run.work();
}

}  // namespace stile::client
