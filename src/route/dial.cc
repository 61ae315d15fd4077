#include "route/dial.h"

#include <algorithm>
#include <array>

#include "sys/net_probe.h"

namespace stile::route {
namespace {

using engine::IcmpReport;

/// RFC 792 "Time Exceeded", and its ICMPv6 sister of RFC 4443 section 3.3.
bool is_time_exceeded(const IcmpReport& report) noexcept {
  return report.type == (report.family == Family::ipv4 ? 11 : 3);
}

/// The smaller, the more specific.
int rank(Reason reason) noexcept {
  switch (reason) {
    case Reason::dial_refused:
      return 0;
    case Reason::dial_ttl_expired:
      return 1;
    case Reason::dial_host_unreachable:
      return 2;
    case Reason::dial_timeout:
      return 3;
    case Reason::dial_network_unreachable:
      return 4;
    case Reason::none:
      return 6;
    default:
      return 5;
  }
}

}  // namespace

std::optional<engine::Egress> egress_of(const EgressSettings& settings, engine::Engine& engine) {
  if (!settings.is_set()) return std::nullopt;
  engine::Egress egress{.interface = settings.interface, .mark = settings.mark};
  if (!settings.from) return egress;
  const Cidr& prefix = *settings.from;
  egress.address = prefix.base;
  if (prefix == Cidr::host(prefix.base)) return egress;
  std::array<std::uint8_t, 16> bits;
  for (std::size_t i = 0; i < bits.size(); i += 8) {
    const std::uint64_t drawn = engine.random();
    for (std::size_t j = 0; j < 8; ++j) bits[i + j] = static_cast<std::uint8_t>(drawn >> (8 * j));
  }
  egress.address = prefix.address_with(bits);
  egress.foreign = true;
  return egress;
}

Reason dial_reason(const engine::ConnectFailure& failure, Family family, bool host_has_ipv6) noexcept {
  if (failure.egress) {
    switch (failure.error.kind) {
      case ErrorKind::address_unavailable:
      case ErrorKind::not_found:      // no such interface
      case ErrorKind::not_permitted:  // to mark
        return Reason::dial_egress;
      default:
        break;
    }
  }
  if (failure.icmp && is_time_exceeded(*failure.icmp)) return Reason::dial_ttl_expired;
  switch (failure.error.kind) {
    case ErrorKind::refused:
    case ErrorKind::reset:
      return Reason::dial_refused;
    case ErrorKind::net_unreachable:
    case ErrorKind::invalid:  // a blackhole route, or a link-local address without scope
      return Reason::dial_network_unreachable;
    case ErrorKind::host_unreachable:
    case ErrorKind::protocol:  // an ICMP message of another kind
    case ErrorKind::message_too_big:
      return Reason::dial_host_unreachable;
    case ErrorKind::timed_out:
      return Reason::dial_timeout;
    case ErrorKind::not_permitted:  // ICMPv6 1/1 and 1/5 come as EACCES, as this host's own prohibitions do
      return failure.icmp ? Reason::dial_host_unreachable : Reason::dial_forbidden;
    case ErrorKind::address_unavailable:
      return family == Family::ipv6 && !host_has_ipv6 ? Reason::dial_network_unreachable : Reason::dial_no_ports;
    case ErrorKind::address_in_use:
      return Reason::dial_no_ports;
    case ErrorKind::family_unsupported:
      return Reason::dial_family_off;
    case ErrorKind::no_descriptors:
    case ErrorKind::no_memory:
      return Reason::no_resources;
    case ErrorKind::would_block:
    case ErrorKind::not_found:
    case ErrorKind::canceled:
    case ErrorKind::other:
      return Reason::dial_failed;
  }
  assertion_failed("ErrorKind in range", __FILE__, __LINE__);
}

Reason more_specific(Reason one, Reason other) noexcept {
  return rank(other) < rank(one) ? other : one;
}

Dial::Dial(engine::Engine& engine) noexcept : Dial(engine, &sys::has_ipv6_address) {}

Dial::Dial(engine::Engine& engine, Ipv6Probe host_has_ipv6) noexcept : engine_(engine), host_has_ipv6_(host_has_ipv6) {
  timer_.bind<&Dial::on_timer>(this);
}

Dial::~Dial() {
  STILE_ASSERT(!pending());
  for (std::size_t i = 0; i < started_; ++i) engine_.close(attempt(i).socket);
}

void Dial::start(std::span<const Endpoint> candidates, const DialLimits& limits,
                 std::span<const std::optional<engine::Egress>> egress) {
  STILE_ASSERT(!candidates.empty() && count_ == 0 && (egress.empty() || egress.size() == candidates.size()));
  count_ = std::min(candidates.size(), limits::candidates_max);
  limits_ = limits;
  if (count_ > 1) others_ = std::make_unique<Attempt[]>(count_ - 1);
  for (std::size_t i = 0; i < count_; ++i) place(i, candidates[i], egress.empty() ? std::nullopt : egress[i]);
  end_ = engine_.now() + limits_.total;
  next_start_ = engine_.now();
  dialling_ = true;
  advance();
}

void Dial::place(std::size_t index, const Endpoint& peer, const std::optional<engine::Egress>& egress) noexcept {
  Attempt& placed = attempt(index);
  placed.dial = this;
  placed.peer = peer;
  placed.egress = egress;
  placed.socket.bind<&Attempt::on_connected>(&placed);
}

/// Starts what is due, and ends the dial where nothing is left to hope for.
void Dial::advance() {
  while (started_ < count_ && next_start_ <= engine_.now() && engine_.now() < end_) start_next();
  if (connecting()) {
    engine_.start_timer(timer_, next_event());
  } else {
    finish();
  }
}

void Dial::start_next() {
  Attempt& next = attempt(started_++);
  next.phase = Attempt::Phase::connecting;
  next.deadline = std::min(engine_.now() + limits_.per_address, end_);
  next_start_ = engine_.now() + limits_.stagger;
  const auto& from = next.egress ? next.egress->address : std::nullopt;
  if (from && from->family() != next.peer.address.family()) return fail(next, Reason::dial_family_off);
  const auto started = engine_.connect(next.socket, next.peer,
                                       {.from = next.egress ? &*next.egress : nullptr, .fast_open = limits_.fast_open});
  if (!started) fail(next, reason_of(started.error(), next));
}

Reason Dial::reason_of(const engine::ConnectFailure& failure, const Attempt& attempt) const noexcept {
  const Family family = attempt.peer.address.family();
  // Asked only where the answer decides: it costs system calls.
  const bool undecided = failure.error.kind == ErrorKind::address_unavailable && family == Family::ipv6;
  return dial_reason(failure, family, !undecided || host_has_ipv6_());
}

void Dial::on_connected(Attempt& attempt, engine::Status status) {
  // An attempt that was given up in the same turn still completes, perhaps as done.
  if (attempt.phase == Attempt::Phase::connecting && status == engine::Status::done) settle(attempt);
  complete_when_quiet();
}

void Dial::settle(Attempt& attempt) {
  if (const auto connected = engine_.connect_result(attempt.socket); !connected) {
    fail(attempt, reason_of(connected.error(), attempt));
  } else if (const auto peer = engine_.peer_endpoint(attempt.socket);
             peer != attempt.peer && (peer || !limits_.fast_open)) {
    // Redirected on its way out: not what policy decided on (security reference, section 3.4).
    fail(attempt, Reason::dial_failed);
  } else {
    attempt.phase = Attempt::Phase::connected;
    told_ = &attempt;
    reason_ = Reason::none;
    finish();
    return;
  }
  advance();
}

void Dial::on_timer(engine::Status status) {
  if (status == engine::Status::done && !finished_) {
    for (std::size_t i = 0; i < started_; ++i) {
      Attempt& late = attempt(i);
      const bool expired = late.phase == Attempt::Phase::connecting && late.deadline <= engine_.now();
      if (expired) fail(late, Reason::dial_timeout);
    }
    advance();
  }
  complete_when_quiet();
}

/// RFC 8305 section 5: a failure starts the next attempt without waiting for the stagger.
void Dial::fail(Attempt& attempt, Reason reason) noexcept {
  attempt.phase = Attempt::Phase::ended;
  engine_.close(attempt.socket);
  next_start_ = engine_.now();
  if (more_specific(reason_, reason) == reason_) return;
  reason_ = reason;
  told_ = &attempt;
}

bool Dial::connecting() noexcept {
  for (std::size_t i = 0; i < started_; ++i) {
    if (attempt(i).phase == Attempt::Phase::connecting) return true;
  }
  return false;
}

/// The earliest of: an attempt's deadline, the next start, the end.
Instant Dial::next_event() noexcept {
  Instant earliest = started_ < count_ ? std::min(next_start_, end_) : end_;
  for (std::size_t i = 0; i < started_; ++i) {
    const Attempt& running = attempt(i);
    if (running.phase == Attempt::Phase::connecting) earliest = std::min(earliest, running.deadline);
  }
  return earliest;
}

/// Gives up every attempt but a connected one.
void Dial::finish() noexcept {
  finished_ = true;
  for (std::size_t i = 0; i < started_; ++i) {
    Attempt& loser = attempt(i);
    if (loser.phase == Attempt::Phase::connected) continue;
    loser.phase = Attempt::Phase::ended;
    engine_.close(loser.socket);
  }
  engine_.cancel(timer_);
  complete_when_quiet();
}

/// The attempts' records live in this object, so that it may not go before the last of them has completed.
void Dial::complete_when_quiet() noexcept {
  if (!finished_ || !dialling_ || timer_.pending()) return;
  for (std::size_t i = 0; i < started_; ++i) {
    if (attempt(i).socket.pending()) return;
  }
  dialling_ = false;
  engine_.post(done_);
}

void Dial::cancel() noexcept {
  if (!pending()) return;
  for (std::size_t i = 0; i < started_; ++i) attempt(i).phase = Attempt::Phase::ended;
  told_ = &first_;
  reason_ = Reason::client_reset;
  finish();
}

void Dial::take(engine::Socket& into) noexcept {
  STILE_ASSERT(!pending() && finished_ && reason_ == Reason::none);
  engine_.move(told_->socket, into);
}

}  // namespace stile::route
