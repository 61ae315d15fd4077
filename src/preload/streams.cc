#include "preload/streams.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/limits.h"
#include "base/loopback.h"
#include "preload/failure.h"
#include "protect/line.h"
#include "route/way.h"
#include "sys/meeting_socket.h"

namespace stile::preload {
namespace {

// Programs leave a connection open for as long as they like.
constexpr relay::RelayLimits no_time_limits{.idle = Duration::zero(), .half_closed = Duration::zero()};
// Where the last connection between two addresses has just ended at our side, the next one waits a second.
constexpr auto meeting_pause = std::chrono::milliseconds(300);
constexpr int meetings_max = 10;
constexpr auto told_for = std::chrono::seconds(60);

}  // namespace

/// One connect of a program's, and what came of it.
class Streams::Call {
 public:
  Call(Streams& of, const sys::SilentListener& place, const Endpoint& local, const Endpoint& called, Target target)
      : of_(of),
        place_(place),
        local_(local),
        called_(called),
        target_(std::move(target)),
        session_(of.engine_.random()),
        began_(of.engine_.now()) {
    near_.bind<&Call::on_near>(this);
    again_.bind<&Call::on_again>(this);
    ++of_.live_;
    way_.emplace(of_.engine_, of_.resolver_, of_.way_.upstreams);
    way_->bind<&Call::on_led>(this);
    route::Ask ask;
    ask.target = target_;
    way_->start(of_.way_.via, ask, route::WayKeys{}, limits::connect_total);
  }

  void go() {
    if (std::exchange(calls_, true)) return;
    if (state_ == State::decided) meet();
  }
  /// Nobody is to hear of it any longer: where it is open it stays so.
  void give_up() noexcept {
    given_up_ = true;
    if (state_ == State::leading) return way_->cancel();
    if (state_ == State::decided || state_ == State::meeting) rest();
  }
  void ended(const relay::TunnelEnd& end) noexcept {
    report_end(end);
    passage_ = {};
    rest();
  }

  [[nodiscard]] bool at_rest() const noexcept { return state_ == State::rest && !near_.pending() && !again_.pending(); }
  [[nodiscard]] bool is_at(const Endpoint& place) const noexcept { return place_.place == place; }
  /// What came of it is not told for ever: its address will be another's.
  [[nodiscard]] bool is_recent() const noexcept { return of_.engine_.now() < told_until_; }
  [[nodiscard]] bool is_tunnel() const noexcept { return state_ == State::open; }
  [[nodiscard]] Answer about() const {
    Answer answer{.first = called_};
    answer.error = static_cast<std::uint16_t>(state_ == State::leading ? EINPROGRESS : errno_of(reason_));
    return answer;
  }

 private:
  /// leading: the way is set out on. decided: it is open, or came to nothing, and the program does not call yet.
  enum class State : std::uint8_t { leading, decided, meeting, open, rest };

  void on_led(engine::Status) {
    reason_ = way_->reason();
    state_ = State::decided;
    if (given_up_) return rest();
    if (reason_ != Reason::none) report(observe::Event::error, reason_);
    if (calls_) meet();
  }

  void meet() {
    ++meetings_;
    auto met = sys::meet(place_.place, local_);
    if (!met) return meetings_ < meetings_max ? meet_later() : rest();
    state_ = State::meeting;
    of_.engine_.take(near_.socket(), *std::move(met), engine::EpollEngine::Role::stream);
    of_.engine_.wait(near_.socket(), engine::Interest::writable);
  }
  void meet_later() { of_.engine_.start_timer(again_, of_.engine_.now() + meeting_pause); }
  void on_again(engine::Status status) {
    if (status == engine::Status::canceled || state_ == State::rest) return rest();
    meet();
  }

  void on_near(engine::Status) {
    if (state_ != State::meeting) return came_to_rest();
    // The program has closed its socket in the meantime.
    if (of_.engine_.failed(near_.socket())) return rest();
    if (reason_ != Reason::none) {
      of_.engine_.abort(near_.socket());
      return rest();
    }
    open();
  }

  void open() {
    state_ = State::open;
    protect::Line far;
    way_->take(far);
    passage_ = way_->passage();
    route_ = way_->text();
    way_.reset();
    report(observe::Event::session_start, Reason::none);
    of_.relay_.start(near_, far, {}, this);
  }

  void rest() noexcept {
    if (state_ != State::rest) {
      state_ = State::rest;
      told_until_ = of_.engine_.now() + told_for;
      --of_.live_;
      if (near_.is_open()) of_.engine_.abort(near_.socket());
      of_.engine_.cancel(again_);
      way_.reset();  // a stream that nobody took is closed
    }
    came_to_rest();
  }
  void came_to_rest() noexcept {
    if (at_rest()) of_.came_to_rest();
  }

  void report_end(const relay::TunnelEnd& end) {
    if (of_.reporter_ == nullptr) return;
    observe::Record record = about_this(observe::Event::session_end, end.reason);
    record.bytes_up = end.octets_up;
    record.bytes_down = end.octets_down;
    record.duration = of_.engine_.now() - began_;
    of_.reporter_->report(record);
  }
  void report(observe::Event event, Reason reason) {
    if (of_.reporter_ == nullptr) return;
    if (route_.empty()) route_ = way_->text();
    of_.reporter_->report(about_this(event, reason));
  }
  [[nodiscard]] observe::Record about_this(observe::Event event, Reason reason) {
    if (text_.empty()) text_ = target_.to_string();
    observe::Record record{.event = event, .time = of_.engine_.wall_now(), .session = session_};
    record.client = local_;
    record.protocol = "transparent";
    record.command = "connect";
    record.target = text_;
    record.route = route_;
    record.reason = reason;
    return record;
  }

  Streams& of_;
  const sys::SilentListener& place_;
  Endpoint local_;
  Endpoint called_;
  Target target_;
  std::uint64_t session_;
  Instant began_;
  Instant told_until_ = Instant::max();
  std::optional<route::Way> way_;
  route::Passage passage_;
  protect::Line near_;
  engine::Timer again_;
  std::string text_;
  std::string route_;
  Reason reason_ = Reason::none;
  State state_ = State::leading;
  int meetings_ = 0;
  bool calls_ = false;
  bool given_up_ = false;
};

Streams::Streams(engine::EpollEngine& engine, resolve::Resolver& resolver, Way way, resolve::StandInNames& names,
                 server::Reporter* reporter, std::vector<sys::SilentListener> places)
    : engine_(engine),
      resolver_(resolver),
      way_(std::move(way)),
      names_(names),
      reporter_(reporter),
      places_(std::move(places)),
      relay_(engine, *this, no_time_limits) {
  sweeping_.bind<&Streams::on_sweep>(this);
}

Streams::~Streams() = default;

const sys::SilentListener* Streams::place_for(const Endpoint& local) const noexcept {
  const auto found = std::ranges::find_if(places_, [&](const sys::SilentListener& place) {
    return place.place.address.family() == local.address.family();
  });
  return found == places_.end() ? nullptr : &*found;
}

Answer Streams::begin(const Endpoint& local, const Endpoint& called) {
  const auto refused = [](int error) { return Answer{.error = static_cast<std::uint16_t>(error)}; };
  if (!is_loopback(local.address) || local.port == 0) return refused(EADDRNOTAVAIL);
  const sys::SilentListener* const place = place_for(local);
  if (place == nullptr) return refused(EAFNOSUPPORT);
  if (called.port == 0) return refused(ECONNREFUSED);
  if (names_.is_lost(called.address)) return refused(EHOSTUNREACH);
  auto& call = calls_[local];
  if (call != nullptr) {
    call->give_up();
    replaced_.push_back(std::move(call));
  }
  call = std::make_unique<Call>(*this, *place, local, called, Target{names_.host_of(called.address), called.port});
  return Answer{.first = place->place};
}

void Streams::go(const Endpoint& local) {
  if (const auto call = calls_.find(local); call != calls_.end()) call->second->go();
}

// Another socket may have the address by now, and be nobody's affair here.
Answer Streams::about(const Endpoint& local, const Endpoint& peer) const {
  const auto call = calls_.find(local);
  const bool known = call != calls_.end() && (peer.port == 0 ? call->second->is_recent() : call->second->is_at(peer));
  return known ? call->second->about() : Answer{.error = ENOENT};
}

void Streams::tunnel_ended(const relay::TunnelEnd& end) noexcept {
  static_cast<Call*>(end.context)->ended(end);
}

void Streams::finish(Duration quiet_for) {
  finishing_ = true;
  relay_.set_limits({.idle = quiet_for, .half_closed = quiet_for});
  for (const auto& [local, call] : calls_) {
    if (!call->is_tunnel()) call->give_up();
  }
}

void Streams::stop() noexcept {
  relay_.end_all(Reason::drain);
}

// Within a call of its own it cannot be destroyed.
void Streams::came_to_rest() noexcept {
  if (!sweeping_.pending()) engine_.post(sweeping_);
}

// The latest call from an address stays, so that it can be told what became of it.
void Streams::on_sweep(engine::Status) {
  std::erase_if(replaced_, [](const auto& call) { return call->at_rest(); });
  if (finishing_ && quiet()) engine_.stop();
}

void Streams::settle() {
  const auto pending = [&] {
    return sweeping_.pending() || !relay_.quiet() || !replaced_.empty() ||
           !std::ranges::all_of(calls_, [](const auto& one) { return one.second->at_rest(); });
  };
  while (pending()) {
    came_to_rest();
    engine_.stop();
    engine_.run();
  }
}

}  // namespace stile::preload
