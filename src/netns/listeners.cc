#include "netns/listeners.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.h"
#include "base/loopback.h"
#include "protect/line.h"
#include "route/told_place.h"
#include "route/way.h"
#include "sys/diverted_socket.h"
#include "sys/socket_ends.h"

namespace stile::netns {
namespace {

using namespace std::chrono_literals;
using Kind = sys::SocketCall::Kind;
using Opening = sys::PrivateNetworkPlan::Opening;

constexpr std::size_t listeners_max = 256;
constexpr int calls_per_turn = 64;
constexpr std::size_t ftp_servers_max = 64;
constexpr std::size_t ftp_clients_max = 64;
// A program waits so long for the proxy's word on where it listens, and has so long from there until it does.
constexpr auto word_wait = 10s;
constexpr auto unused_wait = 60s;
constexpr auto peer_wait = 24h;  // the proxy's own limit is shorter, mostly
constexpr auto pause = 1s;       // behind a wait in which nobody came,
constexpr auto long_pause = 5s;  // and behind a proxy that could not be asked
// A peer may come before the program listens, or while no more fit there.
constexpr auto join_pause = 100ms;
constexpr int joins_max = 50;

constexpr std::array<std::uint16_t, 2> ftp_control_ports{21, 990};

Address own_of(Family family) {
  return family == Family::ipv4 ? resolve::own_v4() : resolve::own_v6();
}

/// Whether a socket can have such an address.
bool takes(const sys::StreamSocket& socket, const Address& address) {
  return address.is_v4() ? !socket.is_v6_only : socket.is_v6;
}

}  // namespace

/// One of the programs' sockets for which the proxy is asked to listen; or, with `learns`, one that is about to be
/// connected and wants to know from where.
class Listeners::Listener {
 public:
  Listener(Listeners& of, Heard heard, Target target, bool named, bool learns)
      : of_(of),
        engine_(of.ground_.engine),
        heard_(std::move(heard)),
        local_(heard_->about.local),
        about_(heard_->about),
        target_(std::move(target)),
        named_(named),
        learns_(learns) {
    timer_.bind<&Listener::on_timer>(this);
    near_watch_.bind<&Listener::on_near>(this);
    quiet_.bind<&Listener::on_quiet>(this);
    wanted_ = learns || heard_->call.kind != Kind::bind ? local_ : *heard_->call.address;
    engine_.start_timer(timer_, engine_.now() + word_wait);
    ask();
  }

  [[nodiscard]] bool is_for(std::uint64_t cookie) const noexcept {
    return !learns_ && !ending_ && about_.cookie == cookie;
  }
  [[nodiscard]] bool is_used() const noexcept { return listens_ || learns_; }

  /// A call that was ended by a signal is made again; or it is another thread's.
  void called_again(Heard heard) {
    if (bound_) {
      if (!sys::answer_success(of_.calls_.get(), heard.call)) return;
      bound_ = false;
    } else if (heard_ && heard_->call.thread == heard.call.thread) {
      heard_ = std::move(heard);
    } else {
      of_.go_on(heard.call);
    }
  }
  /// The program listens.
  void listened(Heard heard) {
    if (heard_) return called_again(std::move(heard));
    of_.go_on(heard.call);
    if (std::exchange(listens_, true)) return;
    local_ = heard.about.local;
    engine_.cancel(timer_);
    if (step_ == Step::standing) await();
  }

  /// The program's socket is no more. Who was led there may have been taken just before.
  void socket_ended() noexcept {
    gone_ = true;
    if (!near_watch_.is_open()) end();
  }

  void end() noexcept {
    if (std::exchange(ending_, true)) return;
    if (heard_) of_.go_on(heard_->call);
    heard_.reset();
    engine_.cancel(timer_);
    if (way_ && way_->pending()) way_->cancel();
    if (near_watch_.is_open()) engine_.release(near_watch_);
    near_.reset();
    far_.abort(engine_);
    release_when_quiet();
  }

 private:
  enum class Step : std::uint8_t { asking, standing, awaiting, joining, pausing };

  // ── the proxy ─────────────────────────────────────────────────────────────────────────────────────────────────
  void ask() {
    step_ = Step::asking;
    way_.emplace(engine_, of_.ground_.resolver, of_.ground_.upstreams);
    way_->bind<&Listener::on_way>(this);
    way_->start(of_.ground_.via, route::Ask{.command = wire::Command::bind, .target = target_}, route::WayKeys{},
                limits::connect_total);
  }

  void on_way(engine::Status) {
    if (ending_) return release_when_quiet();
    const Reason reason = way_->reason();
    if (step_ == Step::asking) return reason == Reason::none ? granted() : refused(reason);
    if (reason == Reason::none) return arrived();
    if (reason != Reason::bind_timeout) report(reason);
    if (named_) return end();
    wait(pause);
  }
  void wait(Duration before) {
    step_ = Step::pausing;
    engine_.start_timer(timer_, engine_.now() + before);
  }

  // A proxy that is gone comes back, for who listens already.
  void refused(Reason reason) {
    const bool is_final = reason == Reason::upstream_denied || reason == Reason::upstream_command;
    if (!failed_ || is_final) report(reason);
    failed_ = true;
    if (listens_ && !named_ && !is_final) return wait(long_pause);
    of_.refused(reason, target_, named_);
    end();
  }

  void granted() {
    place_ = place();
    failed_ = false;
    if (learns_) {
      of_.learnt(*heard_, target_, place_.address);
      return end();
    }
    if (heard_ && !bind_program()) return end();
    if (place_ != told_) of_.ground_.tell(local_.to_string() + " is reached at " + place_.to_string());
    told_ = place_;
    step_ = Step::standing;
    if (listens_) return await();
    engine_.start_timer(timer_, engine_.now() + unused_wait);
  }

  /// Where the proxy says that it listens: no particular address is its own.
  [[nodiscard]] Endpoint place() const {
    const Address own = route::own_address(of_.ground_.hops, way_->peer().address);
    const auto told = way_->bound().target();
    const Endpoint named{own, told ? told->port : std::uint16_t{0}};
    return route::told_place(way_->bound(), own).value_or(named);
  }

  /// At the port that the proxy gave, where the program has left the choice to others, and lets it go on.
  [[nodiscard]] bool bind_program() {
    const Heard heard = *std::exchange(heard_, std::nullopt);
    engine_.cancel(timer_);
    if (wanted_.port == 0) {
      const Endpoint at{wanted_.address, place_.port};
      if (place_.port == 0 || !sys::bind_freely(heard.socket.get(), about_, at)) {
        of_.go_on(heard.call);
        return false;
      }
      local_ = at;
    }
    if (heard.call.kind == Kind::bind) {
      bound_ = !sys::answer_success(of_.calls_.get(), heard.call);
    } else {
      listens_ = true;
      of_.go_on(heard.call);
    }
    return true;
  }

  void await() {
    step_ = Step::awaiting;
    way_->await_peer(peer_wait);
  }

  // ── the peer ──────────────────────────────────────────────────────────────────────────────────────────────────
  void arrived() {
    const auto told = way_->bound().target();
    const bool known = told && told->address() != nullptr && !told->address()->is_unspecified();
    peer_ = known ? Endpoint{*told->address(), told->port} : Endpoint{};
    way_->take(far_);
    route_ = way_->text();
    passage_ = way_->passage();
    joins_ = 0;
    join();
  }

  /// Where the program finds it: at the address that the peer has called, as far as it can have that.
  [[nodiscard]] Endpoint called() const {
    if (!local_.address.is_unspecified()) return local_;
    if (!place_.address.is_unspecified() && takes(about_, place_.address)) return {place_.address, local_.port};
    return {own_of(about_.is_v6 ? Family::ipv6 : Family::ipv4), local_.port};
  }

  void join() {
    step_ = Step::joining;
    const Endpoint to = called();
    const Endpoint nobody{own_of(to.address.family()), 0};
    const bool namable = peer_.port != 0 && peer_.address.family() == to.address.family();
    auto fd = of_.ground_.network.open({Opening::Kind::arriving_stream, namable ? peer_ : nobody});
    if (!fd && namable) fd = of_.ground_.network.open({Opening::Kind::arriving_stream, nobody});
    if (!fd) return join_later();
    if (!sys::connect_stream(fd->get(), to)) return join_later();
    near_ = *std::move(fd);
    // Not a stream's wait, which may end too soon: a connection that is given up may be the one that is accepted.
    engine_.adopt(near_watch_, near_.get());
    engine_.wait(near_watch_, engine::Interest::writable);
  }

  void on_near(engine::Status) {
    if (ending_) return release_when_quiet();
    engine_.release(near_watch_);
    protect::Line near;
    engine_.take(near.socket(), std::move(near_), engine::EpollEngine::Role::stream);
    if (!engine_.peer_endpoint(near.socket())) {
      near.abort(engine_);
      return join_later();
    }
    const Target peer{peer_.address, peer_.port};
    of_.ground_.worker.carry(near, far_,
                             {.listener = of_.entrance_,
                              .client = called(),
                              .command = wire::name(wire::Command::bind),
                              .target = named_ ? target_ : peer,
                              .dialled = peer_,
                              .route = std::move(route_),
                              .passage = std::move(passage_)});
    again();
  }

  void join_later() {
    if (gone_ || ++joins_ > joins_max) return end();
    engine_.start_timer(timer_, engine_.now() + join_pause);
  }

  // A server that was named has come, or will not. Others are welcome, at the same port as far as the proxy has it.
  void again() {
    if (named_ || gone_) return end();
    target_.port = place_.port;
    ask();
  }

  void on_timer(engine::Status status) {
    if (ending_) return release_when_quiet();
    if (status == engine::Status::canceled) return;
    if (step_ == Step::joining) return join();
    if (step_ == Step::pausing) return again();
    // One that was cancelled too late says nothing.
    if (heard_ || (step_ == Step::standing && !listens_)) end();
  }

  void report(Reason reason) const {
    if (of_.ground_.reporter == nullptr) return;
    const std::string target = target_.to_string();
    const std::string route = way_->text();
    observe::Record record{.event = observe::Event::error, .time = engine_.wall_now(), .session = engine_.random()};
    record.client = local_;
    record.protocol = "transparent";
    record.command = wire::name(wire::Command::bind);
    record.target = target;
    record.route = route;
    record.reason = reason;
    of_.ground_.reporter->report(record);
  }

  void release_when_quiet() noexcept {
    if (timer_.pending() || near_watch_.pending() || (way_ && way_->pending()) || quiet_.pending()) return;
    engine_.post(quiet_);
  }
  void on_quiet(engine::Status) { of_.ended(*this); }

  Listeners& of_;
  engine::EpollEngine& engine_;
  std::optional<Heard> heard_;  // the call that waits
  Endpoint local_;              // the program's
  sys::StreamSocket about_;
  Endpoint wanted_;  // by the program
  Target target_;    // of BIND
  std::optional<route::Way> way_;
  engine::Timer timer_;
  engine::Operation quiet_;
  sys::UniqueFd near_;  // to the program, until it is connected
  engine::Socket near_watch_;
  protect::Line far_;  // to who came
  Endpoint place_;     // where the proxy listens
  Endpoint told_;
  Endpoint peer_;
  std::string route_;
  route::Passage passage_;
  Step step_ = Step::asking;
  int joins_ = 0;
  const bool named_;
  const bool learns_;
  bool bound_ = false;  // in the program's place, which does not know it yet
  bool listens_ = false;
  bool failed_ = false;  // and was told of
  bool gone_ = false;    // the program's socket
  bool ending_ = false;
};

Listeners::Listeners(Ground ground) : ground_(std::move(ground)) {
  calls_watch_.bind<&Listeners::on_calls>(this);
  ends_watch_.bind<&Listeners::on_ends>(this);
}

Listeners::~Listeners() = default;

void Listeners::serve(sys::UniqueFd calls, std::string entrance) {
  entrance_ = std::move(entrance);
  calls_ = std::move(calls);
  ground_.engine.adopt(calls_watch_, calls_.get());
  ground_.engine.wait(calls_watch_, engine::Interest::readable);
}

void Listeners::stop() noexcept {
  stopping_ = true;
  for (const auto& listener : listeners_) listener->end();
  if (ends_watch_.is_open()) ground_.engine.release(ends_watch_);
  if (calls_watch_.is_open()) ground_.engine.release(calls_watch_);
  calls_.reset();  // whoever is still there waits for nobody
}

void Listeners::ended(const Listener& listener) noexcept {
  std::erase_if(listeners_, [&](const auto& one) { return one.get() == &listener; });
}

// ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────────

void Listeners::on_calls(engine::Status status) {
  if (status == engine::Status::canceled || stopping_) return;
  for (int i = 0; i < calls_per_turn; ++i) {
    const auto call = sys::next_socket_call(calls_.get());
    if (call) {
      hear(*call);
    } else if (call.error().kind == ErrorKind::would_block) {
      break;
    } else {
      return ground_.engine.release(calls_watch_);  // nobody is left who could call
    }
  }
  ground_.engine.wait(calls_watch_, engine::Interest::readable);
}

void Listeners::hear(const sys::SocketCall& call) {
  if (nothing_) return go_on(call);
  switch (call.kind) {
    case Kind::connect:
      return connects(call);
    case Kind::bind:
      return binds(call);
    case Kind::listen:
      return listens(call);
  }
}

std::optional<Listeners::Heard> Listeners::look_at(const sys::SocketCall& call) const {
  auto caller = sys::caller_of(call);
  if (!caller) return std::nullopt;
  sys::UniqueFd socket = sys::socket_of(calls_.get(), call, *caller);
  if (!socket) return std::nullopt;
  const auto about = sys::stream_socket_of(socket.get());
  if (!about) return std::nullopt;
  return Heard{call, *std::move(caller), std::move(socket), *about};
}

bool Listeners::is_inside(const Address& address) {
  return is_loopback(address) || address == resolve::own_v4() || address == resolve::own_v6() ||
         ground_.names.is_lost(address);
}

void Listeners::connects(const sys::SocketCall& call) {
  // What was bound to listen, as it seemed, connects instead.
  const bool unused = std::ranges::any_of(listeners_, [](const auto& one) { return !one->is_used(); });
  const bool control = call.address && !is_inside(call.address->address) &&
                       std::ranges::find(ftp_control_ports, call.address->port) != ftp_control_ports.end();
  if (!unused && !control) return go_on(call);
  auto heard = look_at(call);
  if (!heard) return go_on(call);
  if (Listener* const listener = find(heard->about.cookie)) listener->end();
  if (!control || heard->about.local.port != 0) return go_on(call);
  const Target server{ground_.names.host_of(call.address->address), call.address->port};
  if (const auto known = outward_.find(server.host); known != outward_.end()) {
    const Address outward = known->second;
    learnt(*heard, server, outward);
    return go_on(call);
  }
  begin(*std::move(heard), server, true, true);
}

void Listeners::binds(const sys::SocketCall& call) {
  if (!call.address || call.address->port != 0 || is_loopback(call.address->address)) return go_on(call);
  auto heard = look_at(call);
  if (!heard) return go_on(call);
  if (Listener* const listener = find(heard->about.cookie)) return listener->called_again(*std::move(heard));
  if (heard->about.local.port != 0) return go_on(call);
  const FtpClient* const client = ftp_client(heard->caller.process, call.address->address);
  begin(*std::move(heard), client != nullptr ? client->server : Target{}, client != nullptr, false);
}

void Listeners::listens(const sys::SocketCall& call) {
  auto heard = look_at(call);
  if (!heard || is_loopback(heard->about.local.address)) return go_on(call);
  if (Listener* const listener = find(heard->about.cookie)) return listener->listened(*std::move(heard));
  const Endpoint local = heard->about.local;
  const FtpClient* const client = ftp_client(heard->caller.process, local.address);
  const bool named = client != nullptr && local.port == 0;
  begin(*std::move(heard), named ? client->server : Target{Address{}, local.port}, named, false);
}

void Listeners::begin(Heard heard, const Target& target, bool named, bool learns) {
  if ((nobody_ && !named) || listeners_.size() >= listeners_max) return go_on(heard.call);
  if (!learns) watch_ends();
  listeners_.push_back(std::make_unique<Listener>(*this, std::move(heard), target, named, learns));
}

Listeners::Listener* Listeners::find(std::uint64_t cookie) noexcept {
  const auto found = std::ranges::find_if(listeners_, [&](const auto& one) { return one->is_for(cookie); });
  return found == listeners_.end() ? nullptr : found->get();
}

// ── what is learnt ──────────────────────────────────────────────────────────────────────────────────────────────────

/// The one that listens there, it seems, for its server.
const Listeners::FtpClient* Listeners::ftp_client(int process, const Address& bound) {
  std::erase_if(ftp_clients_, [](const FtpClient& one) { return !sys::is_running(one.process); });
  const auto client = std::ranges::find_if(ftp_clients_, [&](const FtpClient& one) {
    return one.process.process == process && (bound.is_unspecified() || is_inside(bound) || bound == one.outward);
  });
  return client == ftp_clients_.end() ? nullptr : &*client;
}

void Listeners::learnt(Heard& heard, const Target& server, const Address& outward) {
  if (outward.is_unspecified()) return;
  // An IPv6 socket that has an IPv4 address calls nobody by IPv6 any longer. Whoever called a name tries its other
  // address then, and is told the truth there.
  const bool calls_its_like = heard.call.address && heard.call.address->address.family() == outward.family();
  if ((calls_its_like || server.host_name() != nullptr) && takes(heard.about, outward))
    (void)sys::bind_freely(heard.socket.get(), heard.about, {outward, 0});
  if (outward_.size() >= ftp_servers_max) outward_.clear();
  outward_.insert_or_assign(server.host, outward);
  std::erase_if(ftp_clients_, [&](const FtpClient& one) { return one.process.process == heard.caller.process; });
  if (ftp_clients_.size() >= ftp_clients_max) ftp_clients_.pop_front();
  ftp_clients_.push_back({std::move(heard.caller), server, outward});
}

void Listeners::refused(Reason reason, const Target& asked, bool named) {
  // A particular port or peer may be forbidden alone.
  const bool is_final =
      reason == Reason::upstream_command || (reason == Reason::upstream_denied && !named && asked.port == 0);
  if (!is_final || nothing_ || nobody_) return;
  (reason == Reason::upstream_command ? nothing_ : nobody_) = true;
  ground_.tell("programs listen inside only: the proxy does not listen for them (" + std::string(token(reason)) + ")");
}

void Listeners::watch_ends() {
  if (ends_) return;
  auto opened = ground_.network.open({Opening::Kind::socket_ends, {}});
  if (!opened) return;  // then a socket's end is seen when somebody comes
  ends_ = *std::move(opened);
  ground_.engine.adopt(ends_watch_, ends_.get());
  ground_.engine.wait(ends_watch_, engine::Interest::readable);
}

void Listeners::on_ends(engine::Status status) {
  if (status == engine::Status::canceled || stopping_) return;
  for (int i = 0; i < calls_per_turn; ++i) {
    const auto cookie = sys::next_socket_end(ends_.get());
    if (!cookie) break;
    if (Listener* const listener = find(*cookie)) listener->socket_ended();
  }
  ground_.engine.wait(ends_watch_, engine::Interest::readable);
}

}  // namespace stile::netns
