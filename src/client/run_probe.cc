#include "client/run_probe.h"

#include <array>
#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include "engine/epoll/epoll_engine.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "sys/errno_table.h"
#include "sys/main_loop.h"

namespace stile::client {
namespace {

/// The run with everything it stands on, in the order of construction.
class Run {
 public:
  Run(engine::EpollEngine& engine, resolve::CaresResolver& dns, const route::Hop& proxy, const ProbeOptions& options,
      ProbeShow& show)
      : engine_(engine),
        resolver_(engine, dns, resolve::CachingResolver::Options{.hosts_path = "/etc/hosts"}),
        probe_(engine, resolver_, proxy, options, show) {
    probe_.bind<&Run::on_ended>(this);
    woken_.bind<&Run::on_woken>(this);
    resolver_closed_.bind<&Run::on_resolver_closed>(this);
    engine_.on_wake(&woken_);
  }

  /// On the run's own thread: until nothing is pending in the engine.
  void work() {
    probe_.start();
    engine_.run();
    engine_.on_wake(nullptr);
    resolver_.close(resolver_closed_);
    engine_.run();
  }

  /// From any thread.
  void interrupt() noexcept {
    interrupts_.fetch_add(1);
    engine_.wake();
  }

  [[nodiscard]] const ProbeResult& result() const noexcept { return probe_.result(); }

 private:
  void on_ended(engine::Status) { engine_.stop(); }
  void on_resolver_closed(engine::Status) { engine_.stop(); }
  void on_woken(engine::Status) {
    for (; seen_ < interrupts_.load(); ++seen_) probe_.interrupt();
  }

  engine::EpollEngine& engine_;
  resolve::CachingResolver resolver_;
  Probe probe_;
  engine::Operation woken_;
  engine::Operation resolver_closed_;
  std::atomic<int> interrupts_{0};
  int seen_ = 0;
};

void watch(Run& run, sys::SignalQueue& signals, sys::Notification& ended) {
  while (true) {
    const std::array descriptors{signals.descriptor(), ended.descriptor()};
    const auto ready = sys::wait_readable(descriptors);
    if (!ready) continue;
    if (*ready == 1) return;
    while (signals.next()) run.interrupt();
  }
}

ProbeResult cannot_start(const Error& error) {
  return {.succeeded = false,
          .trouble = {"it cannot start: " + std::string(sys::describe(error)), "raise the process's limits"}};
}

}  // namespace

ProbeResult run_probe(const route::Hop& proxy, const ProbeOptions& options, ProbeShow& show) {
  sys::ignore_broken_pipes();
  auto signals = sys::SignalQueue::create({SIGINT, SIGTERM});
  if (!signals) return cannot_start(signals.error());
  auto ended = sys::Notification::create();
  if (!ended) return cannot_start(ended.error());
  auto engine = engine::EpollEngine::create();
  if (!engine) return cannot_start(engine.error());
  auto dns = resolve::CaresResolver::create(**engine, {});
  if (!dns) return cannot_start(dns.error());
  Run run(**engine, **dns, proxy, options, show);
  std::thread worker([&run, &ended] {
    run.work();
    ended->notify();
  });
  watch(run, *signals, *ended);
  worker.join();
  return run.result();
}

}  // namespace stile::client
