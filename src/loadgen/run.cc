#include "loadgen/run.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "loadgen/course.h"
#include "loadgen/load.h"
#include "loadgen/origin.h"
#include "loadgen/origin_messages.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "route/chain.h"
#include "sys/errno_table.h"
#include "sys/main_loop.h"
#include "sys/process_limits.h"
#include "wire/udp_header.h"

namespace stile::loadgen {
namespace {

using session::Advice;

constexpr auto progress_interval = std::chrono::milliseconds(500);
constexpr std::size_t scratch_octets = Pattern::piece_octets_max + preamble_octets;
constexpr std::size_t descriptors_besides = 64;

Advice cannot_start(const Error& error) {
  return {"it cannot start: " + std::string(sys::describe(error)), "raise the process's limits"};
}

double seconds_of(Duration duration) noexcept {
  return std::chrono::duration<double>(duration).count();
}

/// What the process and each run stand on. Made before anything is opened.
struct Ground {
  std::unique_ptr<engine::EpollEngine> engine;
  std::optional<sys::SignalQueue> signals;
  std::size_t descriptors = 0;

  static std::expected<Ground, Advice> create() {
    sys::ignore_broken_pipes();
    Ground ground;
    auto signals = sys::SignalQueue::create({SIGINT, SIGTERM});
    if (!signals) return std::unexpected(cannot_start(signals.error()));
    ground.signals = *std::move(signals);
    auto engine = engine::EpollEngine::create();
    if (!engine) return std::unexpected(cannot_start(engine.error()));
    ground.engine = *std::move(engine);
    ground.engine->sleep_precisely();
    const auto descriptors = sys::raise_descriptor_limit();
    if (!descriptors) return std::unexpected(cannot_start(descriptors.error()));
    ground.descriptors = *descriptors;
    return ground;
  }
};

/// Calls its owner for each signal.
template <auto Method, class Owner>
class SignalWatch {
 public:
  SignalWatch(Ground& ground, Owner& owner) noexcept : ground_(ground), owner_(owner) {
    socket_.bind<&SignalWatch::on_ready>(this);
    ground_.engine->adopt(socket_, ground_.signals->descriptor());
    ground_.engine->wait(socket_, engine::Interest::readable);
  }
  void close() noexcept {
    if (socket_.is_open()) ground_.engine->release(socket_);
  }

 private:
  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    while (ground_.signals->next()) (owner_.*Method)();
    if (socket_.is_open()) ground_.engine->wait(socket_, engine::Interest::readable);
  }

  Ground& ground_;
  Owner& owner_;
  engine::Socket socket_;
};

/// What a run has done at one moment.
struct Reading {
  Instant at{};
  Duration cpu{};
  std::uint64_t operations = 0;
  std::uint64_t octets = 0;
};

class Run {
 public:
  Run(Ground& ground, resolve::CaresResolver& dns, const Options& options, Show& show);
  ~Run() = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Outcome work();
  void interrupt();

 private:
  enum class Step : std::uint8_t { rehearsing, opening, warming, measuring, draining, over };

  Result<std::vector<Endpoint>> start_origin();
  void rehearse();
  void on_rehearsed(engine::Status status);
  void open_load(std::optional<Endpoint> first_hop);
  void on_opened(engine::Status status);
  void on_step(engine::Status status);
  void begin_measuring();
  void end_measuring();
  void on_drained(engine::Status status);
  void on_progress(engine::Status status);
  void on_resolver_closed(engine::Status) { engine_.stop(); }

  void give_up(Advice why);
  void end();
  [[nodiscard]] Reading read() const;
  void write_figures();

  Ground& ground_;
  engine::EpollEngine& engine_;
  const Options& options_;
  Show& show_;
  resolve::CachingResolver resolver_;
  Pattern pattern_;
  std::vector<std::uint8_t> scratch_;
  DatagramRoom room_;
  Origin origin_;
  std::vector<Endpoint> origins_;
  Tally tally_;
  std::optional<Way> way_;
  std::optional<Course> course_;
  std::optional<route::Chain> rehearsal_;
  protect::Line rehearsed_;
  Load::Milestones milestones_;
  std::unique_ptr<Load> load_;
  engine::Timer step_timer_;
  engine::Timer progress_timer_;
  engine::Operation resolver_closed_;
  SignalWatch<&Run::interrupt, Run> signals_;
  Step step_ = Step::rehearsing;
  Instant warmed_from_{};
  Reading first_;  // where the measured time begins
  Reading last_;   // where it ends
  Reading shown_;
  Outcome outcome_;
};

Run::Run(Ground& ground, resolve::CaresResolver& dns, const Options& options, Show& show)
    : ground_(ground),
      engine_(*ground.engine),
      options_(options),
      show_(show),
      resolver_(engine_, dns, resolve::CachingResolver::Options{.hosts_path = "/etc/hosts"}),
      scratch_(scratch_octets),
      room_(options.size + wire::udp_answer_header_octets_max),
      origin_(engine_, pattern_, scratch_, room_),
      signals_(ground, *this) {
  milestones_.opened.bind<&Run::on_opened>(this);
  milestones_.drained.bind<&Run::on_drained>(this);
  step_timer_.bind<&Run::on_step>(this);
  progress_timer_.bind<&Run::on_progress>(this);
  resolver_closed_.bind<&Run::on_resolver_closed>(this);
}

Outcome Run::work() {
  auto origins = start_origin();
  if (origins) {
    origins_ = *std::move(origins);
    rehearse();
    engine_.run();
  } else {
    outcome_.trouble = {"its origin cannot listen: " + std::string(sys::describe(origins.error())), ""};
  }
  signals_.close();
  origin_.close();
  engine_.stop();
  engine_.run();
  resolver_.close(resolver_closed_);
  engine_.run();
  return std::move(outcome_);
}

// ── the origin ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// Where there are many short connections it listens at several addresses: see Way. An association has a port of its
/// own there, or their windows would overflow the one's buffer.
Result<std::vector<Endpoint>> Run::start_origin() {
  if (options_.origin) return std::vector{*options_.origin};
  std::vector<Endpoint> endpoints;
  if (options_.mode == Mode::datagrams) {
    const std::size_t ports = std::min(options_.connections, std::size_t{64});
    for (std::size_t i = 0; i < ports; ++i) {
      const auto at = origin_.open_udp({Address::v4(127, 0, 0, 1), 0}, options_.offload);
      if (!at) return std::unexpected(at.error());
      endpoints.push_back(*at);
    }
    return endpoints;
  }
  const bool short_ones = options_.mode == Mode::connections || options_.mode == Mode::handshakes;
  const std::size_t addresses = short_ones || options_.connections > 10'000 ? limits::bench_addresses : 1;
  for (std::size_t i = 1; i <= addresses; ++i) {
    const auto at = origin_.listen({Address::v4(127, 0, 0, static_cast<std::uint8_t>(i)), 0});
    if (!at) return std::unexpected(at.error());
    endpoints.push_back(*at);
  }
  return endpoints;
}

// ── the rehearsal ───────────────────────────────────────────────────────────────────────────────────────────────────

/// One connection as any client command makes it: it finds the proxy, and what it meets is told in words.
void Run::rehearse() {
  if (!options_.proxy) return open_load(std::nullopt);
  route::Ask ask{.target = {.host = origins_.front().address, .port = origins_.front().port}};
  if (options_.mode == Mode::datagrams) ask = {.command = wire::Command::udp_associate, .target = {}};
  rehearsal_.emplace(engine_, resolver_, *options_.proxy, ask);
  rehearsal_->bind<&Run::on_rehearsed>(this);
  rehearsal_->start();
}

void Run::on_rehearsed(engine::Status) {
  const route::Trouble& trouble = rehearsal_->trouble();
  if (trouble.obstacle != route::Obstacle::none) {
    Advice advice = route::explain(trouble);
    const bool refused = trouble.obstacle == route::Obstacle::conversation;
    if (refused && advice.cure.empty()) {
      advice.cure = "the origin is at " + origins_.front().to_string() + "; --origin names another";
    }
    return give_up(std::move(advice));
  }
  rehearsal_->take(rehearsed_);
  rehearsed_.close(engine_);
  open_load(rehearsal_->peer());
}

// ── the load ────────────────────────────────────────────────────────────────────────────────────────────────────────

void Run::open_load(std::optional<Endpoint> first_hop) {
  step_ = Step::opening;
  way_.emplace(first_hop, origins_);
  course_.emplace(Course{.engine = engine_,
                         .pattern = pattern_,
                         .scratch = scratch_,
                         .tally = tally_,
                         .way = *way_,
                         .proxy = options_.proxy ? &*options_.proxy : nullptr,
                         .verify = options_.verify});
  // A built-in origin needs as many descriptors as the client.
  const std::size_t each = options_.origin ? 1 : 2;
  if (options_.connections * each + descriptors_besides > ground_.descriptors) {
    return give_up({"this process may hold " + std::to_string(ground_.descriptors) + " descriptors, and " +
                        std::to_string(options_.connections) + " connections need more",
                    "ask for fewer --connections, raise the hard limit (ulimit -Hn), or use --origin"});
  }
  switch (options_.mode) {
    case Mode::down:
    case Mode::up:
    case Mode::both:
      load_ = make_bulk_load(*course_, options_, milestones_);
      break;
    case Mode::round_trips:
      load_ = make_round_trip_load(*course_, options_, milestones_);
      break;
    case Mode::connections:
    case Mode::handshakes:
      load_ = make_connection_load(*course_, options_, milestones_);
      break;
    case Mode::idle:
      load_ = make_idle_load(*course_, options_, milestones_);
      break;
    case Mode::datagrams:
      load_ = make_datagram_load(*course_, room_, options_, milestones_);
      break;
  }
  engine_.start_timer(step_timer_, engine_.now() + limits::bench_opening);
  load_->open();
}

void Run::on_opened(engine::Status) {
  if (step_ != Step::opening) return;
  if (load_->standing() == 0) {
    const std::string why = tally_.errors.empty() ? "nothing could be opened" : tally_.errors.begin()->first;
    return give_up({why, "check the origin and the proxy"});
  }
  if (options_.mode == Mode::idle) show_.holding(load_->standing());
  step_ = Step::warming;
  warmed_from_ = engine_.now();
  load_->start();
  engine_.start_timer(step_timer_, engine_.now() + options_.warmup);
  engine_.start_timer(progress_timer_, engine_.now() + progress_interval);
}

void Run::on_step(engine::Status status) {
  if (status == engine::Status::canceled) return;
  switch (step_) {
    case Step::opening:
      return give_up({"not all tunnels stand after a minute", "ask for fewer --connections"});
    case Step::warming:
      return begin_measuring();
    case Step::measuring:
      return end_measuring();
    default:
      return end();  // what has not drained by now is counted as an error
  }
}

void Run::begin_measuring() {
  step_ = Step::measuring;
  tally_.latency.clear();
  tally_.recording = true;
  first_ = shown_ = read();
  engine_.start_timer(step_timer_, first_.at + options_.measured);
}

void Run::end_measuring() {
  step_ = Step::draining;
  last_ = read();
  outcome_.figures.behind = load_->behind(last_.at);
  // The echoes of held tunnels are what is counted there, and come behind the measured time.
  tally_.recording = options_.mode == Mode::idle;
  engine_.cancel(progress_timer_);
  engine_.start_timer(step_timer_, engine_.now() + limits::bench_drain);
  load_->stop();
}

void Run::on_drained(engine::Status) {
  if (step_ == Step::draining) end();
}

void Run::on_progress(engine::Status status) {
  if (status == engine::Status::canceled) return;
  const Reading now = read();
  const double since = seconds_of(now.at - shown_.at);
  const bool measuring = step_ == Step::measuring;
  if (shown_.at != Instant{} && since > 0) {
    show_.progress({.elapsed = measuring ? now.at - first_.at : Duration{},
                    .operations = now.operations - first_.operations,
                    .per_second = static_cast<double>(now.operations - shown_.operations) / since});
  }
  shown_ = now;
  engine_.start_timer(progress_timer_, engine_.now() + progress_interval);
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void Run::interrupt() {
  switch (step_) {
    case Step::warming:
      begin_measuring();
      return end_measuring();
    case Step::measuring:
      return end_measuring();
    case Step::rehearsing:
      return rehearsal_->cancel();
    case Step::opening:
      return give_up({"it was interrupted", ""});
    default:
      return end();
  }
}

void Run::give_up(Advice why) {
  outcome_.trouble = std::move(why);
  end();
}

void Run::end() {
  if (step_ == Step::over) return;
  step_ = Step::over;
  engine_.cancel(step_timer_);
  engine_.cancel(progress_timer_);
  if (load_) load_->close();
  write_figures();
  engine_.stop();
}

Reading Run::read() const {
  Reading reading{.at = precise_now(), .cpu = sys::processor_time()};
  reading.operations = tally_.operations;
  reading.octets = tally_.octets;
  if (is_bulk(options_.mode) && load_) {
    reading.octets += options_.origin ? load_->octets_sent() : origin_.octets_received();
    reading.operations = reading.octets;
  }
  return reading;
}

void Run::write_figures() {
  Figures& figures = outcome_.figures;
  const Reading total = read();
  const bool idle = options_.mode == Mode::idle;
  figures.seconds = seconds_of(last_.at - first_.at);
  figures.warmup = seconds_of(first_.at - warmed_from_);
  figures.operations_total = total.operations;
  figures.octets_total = total.octets;
  figures.operations = idle ? total.operations : last_.operations - first_.operations;
  figures.octets = idle ? total.octets : last_.octets - first_.octets;
  if (figures.seconds > 0) figures.per_second = static_cast<double>(figures.operations) / figures.seconds;
  figures.cpu_seconds = seconds_of(last_.cpu - first_.cpu);
  figures.latency = tally_.latency;
  figures.errors = std::move(tally_.errors);
  figures.wrong = tally_.wrong;
  figures.drops = tally_.drops;
}

/// The origin alone.
class OriginRun {
 public:
  OriginRun(Ground& ground, Show& show)
      : ground_(ground),
        show_(show),
        scratch_(scratch_octets),
        room_(limits::udp_payload_octets_max),
        origin_(*ground.engine, pattern_, scratch_, room_),
        signals_(ground, *this) {}

  Advice work(const Endpoint& local, bool offload) {
    Advice trouble;
    const auto at = origin_.listen(local);
    const auto udp = at ? origin_.open_udp(*at, offload) : at;
    if (udp) {
      show_.listening(*udp);
      ground_.engine->run();
    } else {
      trouble = {std::string(sys::describe(udp.error())), "choose another address or port"};
    }
    signals_.close();
    origin_.close();
    ground_.engine->stop();
    ground_.engine->run();
    return trouble;
  }
  void interrupt() { ground_.engine->stop(); }

 private:
  Ground& ground_;
  Show& show_;
  Pattern pattern_;
  std::vector<std::uint8_t> scratch_;
  DatagramRoom room_;
  Origin origin_;
  SignalWatch<&OriginRun::interrupt, OriginRun> signals_;
};

}  // namespace

Outcome run_load(const Options& options, Show& show) {
  auto ground = Ground::create();
  if (!ground) return {.trouble = std::move(ground.error())};
  auto dns = resolve::CaresResolver::create(*ground->engine, {});
  if (!dns) return {.trouble = cannot_start(dns.error())};
  Run run(*ground, **dns, options, show);
  return run.work();
}

Advice run_origin(const Endpoint& local, bool offload, Show& show) {
  auto ground = Ground::create();
  if (!ground) return std::move(ground.error());
  OriginRun run(*ground, show);
  return run.work(local, offload);
}

}  // namespace stile::loadgen
