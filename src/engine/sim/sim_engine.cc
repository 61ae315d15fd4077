#include "engine/sim/sim_engine.h"

#include <algorithm>
#include <cerrno>

#include "base/loopback.h"
#include "engine/socket_state.h"
#include "sys/errno_table.h"

namespace stile::engine {
namespace {

constexpr std::uint16_t ephemeral_first = 32'768;  // net.ipv4.ip_local_port_range
constexpr std::uint16_t ephemeral_last = 60'999;

constexpr Duration spurious_delay_max = std::chrono::milliseconds{5};

// SocketState::ready holds only this, for one completion.
constexpr std::uint8_t spuriously_ready = 1;

enum : std::uint64_t { trace_wait = 1, trace_timer, trace_octets };

SimBehaviour icmp_behaviour(int errno_value, Family family, std::uint8_t type, std::uint8_t code) noexcept {
  // A router of the documentation prefixes sends it.
  const Address offender =
      family == Family::ipv4 ? Address::v4(192, 0, 2, 254) : Address::parse("2001:db8::fe").value();
  return SimBehaviour::icmp_error(sys::make_error(errno_value), IcmpReport{family, type, code, offender});
}

}  // namespace

SimBehaviour SimBehaviour::net_unreachable(Family family) noexcept {
  return icmp_behaviour(ENETUNREACH, family, family == Family::ipv4 ? 3 : 1, 0);
}

SimBehaviour SimBehaviour::host_unreachable(Family family) noexcept {
  return family == Family::ipv4 ? icmp_behaviour(EHOSTUNREACH, family, 3, 1)
                                : icmp_behaviour(EHOSTUNREACH, family, 1, 3);
}

SimBehaviour SimBehaviour::ttl_exceeded(Family family) noexcept {
  return icmp_behaviour(EHOSTUNREACH, family, family == Family::ipv4 ? 11 : 3, 0);
}

SimEngine::SimEngine(std::uint64_t seed, const SimFaults& faults)
    : faults_(faults),
      prng_(seed),
      callers_prng_(~seed),
      now_(std::chrono::hours{1}),
      next_port_(ephemeral_first),
      own_v4_(Address::v4(10, 0, 0, 1)),
      own_v6_(Address::parse("fd00::1").value()) {}

SimEngine::~SimEngine() {
  STILE_ASSERT(open_sockets_ == 0);
  STILE_ASSERT(open_pipes_ == 0);
  STILE_ASSERT(timers_.empty());
  STILE_ASSERT(queue_.empty());
}

// ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────────

bool SimEngine::run_until_idle() {
  return run_until(Instant::max());
}

bool SimEngine::run_for(Duration duration) {
  const Instant end = now_ + duration;
  if (!run_until(end)) return false;
  now_ = end;
  return true;
}

bool SimEngine::run_until(Instant end) {
  bool stopped = false;
  turns_in_place_ = 0;
  while (!stopped && !spun() && turn(end)) stopped = stopping_;
  stopping_ = false;
  return !stopped && !spun();
}

bool SimEngine::turn(Instant end) {
  if (!advance(end)) return false;
  deliver_events();
  while (Timer* const timer = timers_.take_due(now_)) {
    trace(trace_timer, static_cast<std::uint64_t>(timer->deadline().time_since_epoch().count()));
    queue_.complete(*timer, Status::done);
  }
  if (std::exchange(woken_, false) && on_wake_ != nullptr && !on_wake_->pending()) post(*on_wake_);
  deliver_wakeups();
  queue_.run();
  return true;
}

/// Moves the clock to the next thing that happens; false when there is none until `end`.
bool SimEngine::advance(Instant end) {
  ++turns_in_place_;
  if (!queue_.empty() || !wakeups_.empty() || woken_) return true;
  Instant next = Instant::max();
  if (!events_.empty()) next = events_.front().at;
  if (const std::optional<Instant> timer = timers_.next()) next = std::min(next, *timer);
  if (next == Instant::max() || next > end) return stopping_;
  if (next > now_) {
    now_ = next;
    turns_in_place_ = 0;
  }
  return true;
}

void SimEngine::deliver_events() {
  while (!events_.empty() && events_.front().at <= now_) {
    std::pop_heap(events_.begin(), events_.end());
    const sim::Event event = std::move(events_.back());
    events_.pop_back();
    event.act();
  }
}

void SimEngine::deliver_wakeups() {
  std::vector<Wakeup> ready = std::exchange(wakeups_, {});
  if (faults_.shuffle_completions) {
    for (std::size_t i = ready.size(); i > 1; --i) std::swap(ready[i - 1], ready[prng_.below(i)]);
  }
  for (const Wakeup& wakeup : ready) complete_if_ready(wakeup);
}

void SimEngine::at(Instant when, std::function<void()> act) {
  events_.push_back(sim::Event{when, next_sequence_++, std::move(act)});
  std::push_heap(events_.begin(), events_.end());
}

Duration SimEngine::random_up_to(Duration most) {
  return Duration{static_cast<Duration::rep>(prng_.below(static_cast<std::uint64_t>(most.count()) + 1))};
}

Duration SimEngine::latency() {
  return faults_.latency_min + random_up_to(std::max(faults_.latency_max - faults_.latency_min, Duration{}));
}

void SimEngine::trace(std::uint64_t what, std::uint64_t detail) noexcept {
  for (const std::uint64_t word : {static_cast<std::uint64_t>(now_.time_since_epoch().count()), what, detail}) {
    trace_hash_ = std::rotl((trace_hash_ ^ word) * 0x9E3779B97F4A7C15u, 29);
  }
}

void SimEngine::trace(ConstBytes octets) noexcept {
  std::uint64_t digest = 0xcbf29ce484222325u;  // FNV-1a
  for (const std::uint8_t octet : octets) digest = (digest ^ octet) * 0x100000001b3u;
  trace(trace_octets, digest);
}

void SimEngine::post(Operation& operation) noexcept {
  CompletionQueue::start(operation);
  queue_.complete(operation, Status::done);
}

WallTime SimEngine::wall_now() const noexcept {
  constexpr auto start = std::chrono::sys_days{std::chrono::year{2026} / 1 / 1};
  return start + std::chrono::floor<std::chrono::microseconds>(now_.time_since_epoch() - std::chrono::hours{1});
}

void SimEngine::start_timer(Timer& timer, Instant deadline) noexcept {
  CompletionQueue::restart(timer);
  timers_.start(timer, deadline);
}

void SimEngine::cancel(Timer& timer) noexcept {
  if (timers_.remove(timer)) queue_.complete(timer, Status::canceled);
}

void SimEngine::cancel(Socket& socket) noexcept {
  Operation& operation = SocketState::operation(socket);
  if (CompletionQueue::started(operation)) queue_.complete(operation, Status::canceled);
  SocketState::flags(socket) = 0;
}

// ── handles and readiness ───────────────────────────────────────────────────────────────────────────────────────────

void SimEngine::fail_nth(std::uint64_t call, const Error& error) noexcept {
  fail_at_ = call;
  fail_with_ = error;
}

std::optional<Error> SimEngine::injected() noexcept {
  if (bystanders_ > 0 || ++calls_ != fail_at_) return std::nullopt;
  return fail_with_;
}

bool SimEngine::room_for(std::size_t handles) const noexcept {
  return bystanders_ > 0 || descriptors_ + handles <= descriptors_max_;
}

int SimEngine::open_node(sim::Node::Kind kind, Socket* socket) {
  if (free_handles_.empty()) {
    nodes_.emplace_back();
    free_handles_.insert(static_cast<int>(nodes_.size()) - 1);
  }
  const int handle = *free_handles_.begin();  // the lowest, like a kernel: soon reused, which finds stale use
  free_handles_.erase(free_handles_.begin());
  sim::Node& opened = nodes_[static_cast<std::size_t>(handle)];
  opened.kind = kind;
  opened.socket = socket;
  opened.bystander = bystanders_ > 0;
  if (!opened.bystander) ++descriptors_;
  if (socket != nullptr) {
    STILE_ASSERT(!socket->is_open() && !socket->pending());
    SocketState::clear(*socket);
    SocketState::handle(*socket) = handle;
    ++open_sockets_;
  }
  return handle;
}

void SimEngine::close_node(int handle) noexcept {
  sim::Node& closed = nodes_[static_cast<std::size_t>(handle)];
  if (!closed.bystander) --descriptors_;
  if (closed.socket != nullptr) --open_sockets_;
  const std::uint32_t generation = closed.generation + 1;
  closed = sim::Node{};
  closed.generation = generation;
  free_handles_.insert(handle);
}

void SimEngine::notify(int handle) {
  if (handle < 0) return;
  const Wakeup wakeup{handle, nodes_[static_cast<std::size_t>(handle)].generation};
  if (prng_.chance(faults_.late_completion)) {
    after(random_up_to(faults_.late_max), [this, wakeup] { wakeups_.push_back(wakeup); });
  } else {
    wakeups_.push_back(wakeup);
  }
}

void SimEngine::wake_spuriously(int handle) {
  const Wakeup wakeup{handle, nodes_[static_cast<std::size_t>(handle)].generation};
  after(random_up_to(spurious_delay_max), [this, wakeup] {
    const sim::Node& woken = nodes_[static_cast<std::size_t>(wakeup.handle)];
    if (woken.generation != wakeup.generation) return;
    SocketState::ready(*woken.socket) = spuriously_ready;
    wakeups_.push_back(wakeup);
  });
}

void SimEngine::wait(Socket& socket, Interest interest) {
  STILE_ASSERT(socket.is_open());
  STILE_ASSERT(SocketState::flags(socket) == 0);  // a connect is pending
  SocketState::interest(socket) = interest;
  if (!socket.pending()) CompletionQueue::start(SocketState::operation(socket));
  sim::Node& waited = node(socket);
  if (satisfied(waited)) {
    notify(socket.handle());
    return;
  }
  if (waited.kind == sim::Node::Kind::stream) view(waited).mine.wants_room = true;
  if (prng_.chance(faults_.spurious_ready)) wake_spuriously(socket.handle());
}

void SimEngine::post(Socket& socket) noexcept {
  STILE_ASSERT(socket.is_open());
  Operation& operation = SocketState::operation(socket);
  if (!operation.pending()) CompletionQueue::start(operation);
  queue_.complete(operation, Status::done);
}

void SimEngine::complete_if_ready(const Wakeup& wakeup) {
  const sim::Node& woken = nodes_[static_cast<std::size_t>(wakeup.handle)];
  if (woken.generation != wakeup.generation) return;
  Socket& socket = *woken.socket;
  Operation& operation = SocketState::operation(socket);
  if (!CompletionQueue::started(operation)) return;
  if (!satisfied(woken)) {
    if (woken.kind == sim::Node::Kind::stream) view(woken).mine.wants_room = true;
    return;
  }
  SocketState::ready(socket) = 0;
  SocketState::flags(socket) = 0;
  trace(trace_wait, static_cast<std::uint64_t>(wakeup.handle));
  queue_.complete(operation, Status::done);
}

bool SimEngine::satisfied(const sim::Node& waited) const {
  Socket& socket = *waited.socket;
  if (SocketState::flags(socket) != 0) {
    const auto found = connections_.find(waited.connection);
    return found->second.state != sim::Connection::State::connecting;
  }
  if (SocketState::ready(socket) == spuriously_ready || failed(socket)) return true;
  return (ready_bits(waited) & static_cast<std::uint8_t>(SocketState::interest(socket))) != 0;
}

std::uint8_t SimEngine::ready_bits(const sim::Node& waited) const {
  constexpr auto readable = static_cast<std::uint8_t>(Interest::readable);
  constexpr auto writable = static_cast<std::uint8_t>(Interest::writable);
  switch (waited.kind) {
    case sim::Node::Kind::listener:
      return waited.backlog.empty() ? 0 : readable;
    case sim::Node::Kind::udp:
      return waited.packets.empty() && waited.errors.empty() ? writable : readable | writable;
    case sim::Node::Kind::icmp:
      return waited.echoes.empty() ? writable : readable | writable;
    case sim::Node::Kind::stream: {
      const sim::Connection& connection = connections_.at(waited.connection);
      const sim::Side& mine = connection.sides[waited.side];
      const bool can_read = !mine.unread.empty() || mine.fin_arrived || mine.reset_arrived;
      // Like Linux: told when a third of the room is free.
      const bool can_write = connection.state == sim::Connection::State::established &&
                             (mine.fin_sent || mine.reset_arrived ||
                              room(connection.sides[1 - waited.side]) * 3 >= faults_.stream_octets_max);
      return static_cast<std::uint8_t>((can_read ? readable : 0) | (can_write ? writable : 0));
    }
    default:
      return 0;
  }
}

void SimEngine::move(Socket& from, Socket& to) noexcept {
  STILE_ASSERT(from.is_open() && !from.pending() && !to.is_open() && !to.pending());
  node(from).socket = &to;
  SocketState::move(from, to);
}

Result<Endpoint> SimEngine::local_endpoint(const Socket& socket) const {
  STILE_ASSERT(socket.is_open());
  const sim::Node& of = node(socket);
  const bool local = of.kind == sim::Node::Kind::stream && connections_.at(of.connection).user.has_value();
  const bool at_path = std::ranges::any_of(local_places_, [&](const auto& place) { return place.second == of.local; });
  return local || at_path ? Endpoint{} : of.local;
}

// ── addresses ───────────────────────────────────────────────────────────────────────────────────────────────────────

void SimEngine::set_route(const Cidr& where, const SimBehaviour& behaviour) {
  for (Route& route : routes_) {
    if (route.where == where) {
      route.behaviour = behaviour;
      return;
    }
  }
  routes_.push_back(Route{where, behaviour});
}

void SimEngine::set_route(const Address& where, const SimBehaviour& behaviour) {
  set_route(Cidr::host(where), behaviour);
}

void SimEngine::set_own_address(const Address& address) {
  (address.is_v4() ? own_v4_ : own_v6_) = address;
}

const SimBehaviour& SimEngine::behaviour_of(const Address& destination) const {
  static const SimBehaviour plain = SimBehaviour::normal();
  const Route* best = nullptr;
  for (const Route& route : routes_) {
    if (route.where.contains(destination) && (best == nullptr || route.where.length > best->where.length)) {
      best = &route;
    }
  }
  return best != nullptr ? best->behaviour : plain;
}

Address SimEngine::source_for(const Address& destination) const {
  if (source_ && source_->family() == destination.family()) return *source_;
  if (is_loopback(destination)) return destination.is_v4() ? Address::v4(127, 0, 0, 1) : destination;
  return destination.is_v4() ? own_v4_ : own_v6_;
}

bool SimEngine::is_here(const Address& address) const {
  return is_loopback(address) || address == own_v4_ || address == own_v6_;
}

std::optional<std::uint16_t> SimEngine::free_port(const Address& address, const std::multiset<Endpoint>& used) {
  for (int tries = ephemeral_first; tries <= ephemeral_last; ++tries) {
    const std::uint16_t port = next_port_;
    next_port_ = port == ephemeral_last ? ephemeral_first : static_cast<std::uint16_t>(port + 1);
    if (!used.contains(Endpoint{address, port})) return port;
  }
  return std::nullopt;
}

}  // namespace stile::engine
