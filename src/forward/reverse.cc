#include "forward/reverse.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "client/direct.h"
#include "route/told_place.h"
#include "wire/proxy_command.h"

namespace stile::forward {
namespace {

// People leave one open for as long as they like.
constexpr relay::RelayLimits no_time_limits{.idle = Duration::zero(), .half_closed = Duration::zero()};
// The proxy has a limit of its own, behind which it is asked again.
constexpr auto peer_wait = std::chrono::hours(24 * 365);
// Before a proxy is asked again that failed.
constexpr auto pause_first = std::chrono::seconds(1);
constexpr auto pause_max = std::chrono::seconds(30);

}  // namespace

/// A connection that came, until its tunnel has ended.
class Reverses::Visit {
 public:
  Visit(Reverses& of, protect::Line& from, const std::optional<Endpoint>& peer, std::string door, const Target& target)
      : of_(of),
        direct_(of.ground_.engine, of.ground_.resolver, target),
        peer_(peer),
        door_(std::move(door)),
        target_(target),
        session_(of.ground_.engine.random()),
        began_(of.ground_.engine.now()) {
    from_.take(of.ground_.engine, from);
    direct_.bind<&Visit::on_connected>(this);
    direct_.start();
  }

  void end() noexcept { direct_.cancel(); }
  [[nodiscard]] bool dials() const noexcept { return direct_.pending(); }

  void report(observe::Event event, Reason reason, const relay::TunnelEnd* end = nullptr) {
    const std::string target = target_.to_string();
    observe::Record record{.event = event, .time = of_.ground_.engine.wall_now(), .session = session_};
    record.listener = door_;
    record.client = peer_;
    record.protocol = "transparent";
    record.command = wire::name(wire::Command::bind);
    record.target = target;
    record.route = "direct";
    record.reason = reason;
    if (end != nullptr) {
      record.bytes_up = end->octets_up;
      record.bytes_down = end->octets_down;
      record.duration = of_.ground_.engine.now() - began_;
    }
    of_.ground_.teller.report(record);
  }

 private:
  void on_connected(engine::Status) {
    if (direct_.reason() != Reason::none) {
      if (!of_.stopping_) report(observe::Event::error, direct_.reason());
      from_.abort(of_.ground_.engine);
      return of_.left(*this);
    }
    report(observe::Event::session_start, Reason::none);
    protect::Line near;
    direct_.take(near);
    of_.relay_.start(from_, near, {}, this);
    if (of_.stopping_) of_.relay_.end_all(Reason::drain);  // last: this may be gone
  }

  Reverses& of_;
  client::Direct direct_;
  protect::Line from_;
  std::optional<Endpoint> peer_;
  std::string door_;
  Target target_;
  std::uint64_t session_;
  Instant began_;
};

/// One BIND after the other.
class Reverses::Door {
 public:
  Door(Reverses& of, std::uint16_t port, const std::optional<Host>& from, const Target& target)
      : of_(of), port_(port), from_(from), target_(target) {
    timer_.bind<&Door::on_pause>(this);
    ask();
  }

  void stop() noexcept {
    of_.ground_.engine.cancel(timer_);
    if (chain_) chain_->cancel();
  }
  [[nodiscard]] bool quiet() const noexcept { return !timer_.pending() && (!chain_ || !chain_->pending()); }

 private:
  void ask() {
    const Host expected = from_.value_or(Address());
    chain_.emplace(of_.ground_.engine, of_.ground_.resolver, std::span<const route::Hop* const>(of_.ground_.hops),
                   route::Ask{.command = wire::Command::bind, .target = {expected, port_}});
    chain_->bind<&Door::on_chain>(this);
    chain_->start();
  }

  void on_chain(engine::Status) {
    if (of_.stopping_) return;
    if (chain_->trouble().obstacle != route::Obstacle::none) return failed();
    if (chain_->awaits_peer()) return listens();
    protect::Line line;
    chain_->take(line);
    of_.visits_.push_back(
        std::make_unique<Visit>(of_, line, route::told_place(chain_->bound(), Address()), place_, target_));
    ask();
  }

  void listens() {
    const auto at = route::told_place(chain_->bound(), route::own_address(of_.ground_.hops, chain_->peer().address));
    if (!at) return failed();
    place_ = at->to_string();
    port_ = at->port;
    granted_ = true;
    pause_ = pause_first;
    listens_since_ = of_.ground_.engine.now();
    of_.ground_.teller.listening(place_, "reverse", target_.to_string());
    chain_->await_peer(peer_wait);
  }

  // A proxy has a limit of its own for how long it waits, behind which it is asked again at once.
  void failed() {
    session::Advice advice = route::explain(chain_->trouble());
    if (advice.why.empty()) advice = {"the proxy does not say where it listens", ""};
    if (!granted_) return of_.refuse(advice);
    const Instant now = of_.ground_.engine.now();
    const auto listened = std::exchange(listens_since_, std::nullopt);
    if (listened && now - *listened >= pause_max) return ask();
    of_.ground_.teller.failed("have the proxy listen for " + target_.to_string(), advice.why, advice.cure);
    of_.ground_.engine.start_timer(timer_, now + pause_);
    pause_ = std::min<Duration>(2 * pause_, pause_max);
  }

  void on_pause(engine::Status status) {
    if (status == engine::Status::done && !of_.stopping_) ask();
  }

  Reverses& of_;
  std::uint16_t port_;
  std::optional<Host> from_;
  Target target_;
  std::optional<route::Chain> chain_;
  engine::Timer timer_;
  Duration pause_ = pause_first;
  std::optional<Instant> listens_since_;
  std::string place_;
  bool granted_ = false;
};

Reverses::Reverses(Ground ground) : ground_(std::move(ground)), relay_(ground_.engine, *this, no_time_limits) {}

Reverses::~Reverses() {
  STILE_ASSERT(quiet());
}

void Reverses::add(std::uint16_t port, const std::optional<Host>& from, const Target& target) {
  doors_.push_back(std::make_unique<Door>(*this, port, from, target));
}

void Reverses::stop() noexcept {
  stopping_ = true;
  relay_.end_all(Reason::drain);
  for (const auto& door : doors_) door->stop();
  for (const auto& visit : visits_) visit->end();
}

bool Reverses::quiet() const noexcept {
  return visits_.empty() && relay_.quiet() && std::ranges::all_of(doors_, &Door::quiet);
}

void Reverses::refuse(const session::Advice& advice) {
  if (auto refused = std::exchange(ground_.refused, nullptr)) refused(advice);
}

void Reverses::tunnel_ended(const relay::TunnelEnd& end) noexcept {
  auto& visit = *static_cast<Visit*>(end.context);
  visit.report(observe::Event::session_end, end.reason, &end);
  left(visit);
}

void Reverses::left(const Visit& visit) noexcept {
  std::erase_if(visits_, [&](const auto& one) { return one.get() == &visit; });
}

}  // namespace stile::forward
