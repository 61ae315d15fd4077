#include "relay/tunnel.h"

#include <algorithm>
#include <utility>

namespace stile::relay {
namespace {

constexpr std::uint8_t full_reads_before_splicing = 2;
constexpr std::uint8_t small_reads_before_copying = 8;
constexpr std::size_t small_read_octets = 16 * limits::KiB;

}  // namespace

Tunnel::Tunnel(Relay& relay, void* context, std::unique_ptr<Terms> terms) : relay_(relay), context_(context) {
  if (terms != nullptr) extra().terms = std::move(terms);
  client_.bind<&Tunnel::on_client_ready>(this);
  target_.bind<&Tunnel::on_target_ready>(this);
}

void Tunnel::start(protect::Line& client, protect::Line& target, ConstBytes early, bool watched) {
  client_.take(relay_.engine_, client);
  target_.take(relay_.engine_, target);
  splices_ = client_.is_plain() && target_.is_plain();
  last_octet_ = relay_.engine_.now();
  watched_ = watched;
  if (!early.empty()) {
    if (watched_) look(early);
    park(up_, early);
  }
  if (idle_limit() > Duration::zero()) arm_idle_timer();
  // Both directions may have octets already; parked early data goes first.
  if (pump(up_, client_, target_) == Progress::failed) return;
  if (pump(down_, target_, client_) == Progress::failed) return;
  if (both_finished()) return end(first_fin_, true);
  rearm();
}

void Tunnel::on_client_ready(engine::Status) {
  if (ended_) return release_when_quiet();
  advance(client_);
}

void Tunnel::on_target_ready(engine::Status) {
  if (ended_) return release_when_quiet();
  advance(target_);
}

// A socket woke: it may have octets to read, room to write, or an error that ends both sides.
void Tunnel::advance(protect::Line& woken) {
  const bool client_woke = &woken == &client_;
  Direction& reading = client_woke ? up_ : down_;
  Direction& writing = client_woke ? down_ : up_;
  protect::Line& other = client_woke ? target_ : client_;

  if (writing.blocked && pump(writing, other, woken) == Progress::failed) return;
  if (!reading.blocked && pump(reading, woken, other) == Progress::failed) return;
  // A side that is not read, blocked or behind its FIN, does not tell of its failure by itself, and what it sent before
  // it failed can no longer be delivered in order: the far side must not take it for complete.
  if ((reading.blocked || reading.paused || reading.fin_received) && relay_.engine_.failed(woken.socket())) {
    static_cast<void>(lost(woken, Error{ErrorKind::reset, 0}));
    return;
  }
  if (both_finished()) return end(first_fin_, true);
  rearm();
}

Tunnel::Progress Tunnel::pump(Direction& way, protect::Line& from, protect::Line& to) {
  const std::uint64_t before = way.octets;
  std::size_t budget = limits::octets_per_turn_max;
  Progress progress = Progress::more;
  way.blocked = way.paused = false;
  while (progress == Progress::more) {
    const auto flushed = flush(way, to);
    if (!flushed) return lost(to, flushed.error());
    if (!*flushed) {
      progress = Progress::blocked;
    } else if (way.fin_received) {
      progress = finish(way, to);
    } else if (budget == 0) {
      break;  // the reader's readiness is still cached: its next wait completes at once, after everybody else's turn
    } else {
      progress = move_some(way, from, to, budget);
    }
  }
  if (progress == Progress::failed) return progress;
  way.blocked = progress == Progress::blocked;
  way.paused = progress == Progress::paused;
  if (way.octets == before) return progress;
  last_octet_ = relay_.engine_.now();
  return extra_ == nullptr ? progress : charge(way.octets - before, progress);
}

Tunnel::Progress Tunnel::move_some(Direction& way, protect::Line& from, protect::Line& to, std::size_t& budget) {
  Flow* const flow = flow_of(way);
  if (flow == nullptr) return way.splicing ? splice(way, from, budget) : copy(way, from, to, budget);
  const std::size_t allowed = std::min(budget, flow->allowed(relay_.engine_.now()));
  if (allowed == 0) {
    if (way.pipe != nullptr) relay_.give_back_pipe(std::move(way.pipe));  // empty: flush came before
    return Progress::paused;
  }
  std::size_t rest = allowed;
  const Progress progress = way.splicing ? splice(way, from, rest) : copy(way, from, to, rest);
  if (progress == Progress::failed) return progress;  // the end gave back what was reserved, and let go of the flow
  const std::size_t moved = allowed - rest;
  budget -= moved;
  flow->moved(moved);
  // A short read took all there was. To look again would be to reserve a turn for nothing.
  const bool drained = moved > 0 && rest > 0 && progress == Progress::more;
  return drained && way.parked == nullptr && (way.pipe == nullptr || way.pipe->held == 0) ? Progress::idle : progress;
}

Tunnel::Progress Tunnel::charge(std::uint64_t octets, Progress progress) noexcept {
  if (extra_->terms == nullptr) return progress;
  extra_->terms->charge(octets);
  if (!extra_->terms->is_exceeded()) return progress;
  relay_.owner_.quota_exceeded();
  end(Reason::limit_quota, false);
  return Progress::failed;
}

bool Tunnel::has_exceeded() const noexcept {
  return !ended_ && extra_ != nullptr && extra_->terms != nullptr && extra_->terms->is_exceeded();
}

Flow* Tunnel::flow_of(const Direction& way) noexcept {
  if (extra_ == nullptr || extra_->terms == nullptr) return nullptr;
  Flow& flow = &way == &up_ ? extra_->terms->up : extra_->terms->down;
  return flow.is_metered() ? &flow : nullptr;
}

// Delivers what is held already: true when nothing is held any longer, false when the writer takes no more at present.
Result<bool> Tunnel::flush(Direction& way, protect::Line& to) {
  const auto blocked_or = [](const Error& error) -> Result<bool> {
    if (error.kind == ErrorKind::would_block) return false;
    return std::unexpected(error);
  };
  while (way.parked != nullptr) {
    const ConstBytes rest = ConstBytes(way.parked->octets).subspan(way.parked->sent);
    const auto sent = to.send(relay_.engine_, rest);
    if (!sent) return blocked_or(sent.error());
    way.octets += *sent;
    way.parked->sent += *sent;
    if (*sent == rest.size()) unpark(way);
  }
  while (way.pipe != nullptr && way.pipe->held > 0) {
    const auto sent = relay_.engine_.splice_out(*way.pipe, to.socket());
    if (!sent) return blocked_or(sent.error());
    way.octets += *sent;
  }
  if (way.pipe != nullptr && !way.splicing) relay_.give_back_pipe(std::move(way.pipe));
  return true;
}

Tunnel::Progress Tunnel::copy(Direction& way, protect::Line& from, protect::Line& to, std::size_t& budget) {
  const std::size_t room = relay_.tight() ? limits::parked_octets_per_direction_tight : limits::relay_buffer_octets;
  const MutableBytes buffer = relay_.buffer().first(std::min(room, budget));
  const auto received = from.receive(relay_.engine_, buffer);
  if (!received) return received.error().kind == ErrorKind::would_block ? Progress::idle : lost(from, received.error());
  if (*received == 0) {
    way.fin_received = true;
    return Progress::more;
  }
  budget -= *received;
  if (watched_ && &way == &up_) {
    look(buffer.first(*received));
  } else if (splices_) {
    consider_splicing(way, *received == buffer.size() && *received >= small_read_octets);
  }

  ConstBytes rest = buffer.first(*received);
  const auto sent = to.send(relay_.engine_, rest);
  if (sent) {
    way.octets += *sent;
    rest = rest.subspan(*sent);
  } else if (sent.error().kind != ErrorKind::would_block) {
    return lost(to, sent.error());
  }
  if (rest.empty()) return Progress::more;
  park(way, rest);
  return Progress::more;  // flush() learns whether the writer takes the rest
}

Tunnel::Progress Tunnel::splice(Direction& way, protect::Line& from, std::size_t& budget) {
  if (way.pipe == nullptr) {
    way.pipe = relay_.borrow_pipe();
    if (way.pipe == nullptr) {
      stop_splicing(way);
      return Progress::more;
    }
  }
  const std::size_t room = std::min(way.pipe->capacity, budget);
  const auto received = relay_.engine_.splice_in(from.socket(), *way.pipe, room);
  if (!received) {
    // The pipe is empty here (flush came before), so a quiet direction can give it back.
    relay_.give_back_pipe(std::move(way.pipe));
    if (received.error().kind == ErrorKind::would_block) return Progress::idle;
    if (received.error().kind != ErrorKind::invalid) return lost(from, received.error());
    stop_splicing(way);  // this kind of socket cannot be spliced
    return Progress::more;
  }
  if (*received == 0) {
    stop_splicing(way);
    way.fin_received = true;
    return Progress::more;
  }
  budget -= std::min(budget, *received);
  way.small_reads = *received < small_read_octets ? static_cast<std::uint8_t>(way.small_reads + 1) : std::uint8_t{0};
  if (way.small_reads < small_reads_before_copying) return Progress::more;
  way.splicing = false;  // flush() gives the pipe back once it is empty
  way.small_reads = 0;
  return Progress::more;
}

// The reader's FIN was received and everything before it delivered: it travels on.
Tunnel::Progress Tunnel::finish(Direction& way, protect::Line& to) {
  if (way.fin_sent) return Progress::idle;
  if (first_fin_ == Reason::none) first_fin_ = &way == &up_ ? Reason::fin_client : Reason::fin_target;
  stop_splicing(way);
  // When both directions are finished the sockets are closed at once, and close sends the FIN.
  const bool last = up_.fin_sent || down_.fin_sent;
  if (!last || !to.is_plain()) {
    if (!last) arm_idle_timer();
    const auto done = to.shutdown_write(relay_.engine_);
    if (!done && done.error().kind == ErrorKind::would_block) return Progress::blocked;
    if (!done) return lost(to, done.error());
  }
  way.fin_sent = true;
  return Progress::idle;
}

Tunnel::Progress Tunnel::lost(const protect::Line& side, const Error& error) noexcept {
  const bool client = &side == &client_;
  const Reason broken = side.failure();
  salvage(client ? up_ : down_, client ? client_ : target_, client ? target_ : client_);
  const bool timed_out = error.kind == ErrorKind::timed_out;  // keepalive found a dead peer
  const Reason reset = client ? Reason::reset_client : Reason::reset_target;
  end(timed_out ? Reason::idle : broken != Reason::none ? broken : reset, false);
  return Progress::failed;
}

// What a side sent before it failed may still be waiting to be read, as when a server answers early and resets: the far
// side gets as much of it as it takes at once.
void Tunnel::salvage(Direction& way, protect::Line& from, protect::Line& to) noexcept {
  for (std::size_t moved = 0; moved < limits::octets_per_turn_max;) {
    if (const auto flushed = flush(way, to); !flushed || !*flushed) return;
    const auto received = from.receive(relay_.engine_, relay_.buffer());
    if (!received || *received == 0) return;
    if (watched_ && &way == &up_) look(relay_.buffer().first(*received));
    const auto sent = to.send(relay_.engine_, relay_.buffer().first(*received));
    if (!sent) return;
    way.octets += *sent;
    if (*sent < *received) return;
    moved += *sent;
  }
}

void Tunnel::look(ConstBytes octets) {
  watched_ = relay_.look(*this, octets);
}

void Tunnel::park(Direction& way, ConstBytes rest) {
  way.parked = std::make_unique<Parked>();
  way.parked->octets.assign(rest.begin(), rest.end());
  relay_.parked_octets_ += way.parked->octets.size();
}

void Tunnel::unpark(Direction& way) noexcept {
  relay_.parked_octets_ -= way.parked->octets.size();
  way.parked.reset();
}

void Tunnel::stop_splicing(Direction& way) noexcept {
  if (way.pipe != nullptr) relay_.give_back_pipe(std::move(way.pipe));
  way.splicing = false;
  way.full_reads = 0;
  way.small_reads = 0;
}

void Tunnel::consider_splicing(Direction& way, bool full) {
  way.full_reads = full ? static_cast<std::uint8_t>(way.full_reads + 1) : std::uint8_t{0};
  if (way.full_reads < full_reads_before_splicing || relay_.tight()) return;
  way.full_reads = 0;
  way.splicing = true;
}

// What a slow reader leaves in a transform costs as much as what it leaves with the relay.
void Tunnel::count_sealed() noexcept {
  const std::size_t held = ended_ ? 0 : client_.output_held() + target_.output_held();
  relay_.parked_octets_ = relay_.parked_octets_ - sealed_ + held;
  sealed_ = static_cast<std::uint32_t>(held);
}

// Each socket waits for what its two directions want of it; a wait of no interest still tells of an error.
void Tunnel::rearm() {
  const auto interest = [](const Direction& reading, const Direction& writing) {
    const bool read = !reading.blocked && !reading.paused && !reading.fin_received;
    const bool write = writing.blocked;
    return static_cast<engine::Interest>((read ? 1 : 0) | (write ? 2 : 0));
  };
  client_.wait(relay_.engine_, interest(up_, down_));
  target_.wait(relay_.engine_, interest(down_, up_));
  if (!splices_) count_sealed();
  if (up_.paused || down_.paused) arm_turn_timer();
}

Tunnel::Extra& Tunnel::extra() {
  if (extra_ == nullptr) {
    extra_ = std::make_unique<Extra>();
    extra_->idle.bind<&Tunnel::on_idle>(this);
    extra_->turn.bind<&Tunnel::on_turn>(this);
  }
  return *extra_;
}

Duration Tunnel::idle_limit() const noexcept {
  if (half_closed()) return relay_.limits_.half_closed;
  const bool own = extra_ != nullptr && extra_->terms != nullptr && extra_->terms->idle;
  return own ? *extra_->terms->idle : relay_.limits_.idle;
}

void Tunnel::arm_idle_timer() {
  const Duration limit = idle_limit();
  if (limit > Duration::zero()) relay_.engine_.start_timer(extra().idle, last_octet_ + limit);
}

// The timer is not moved by each octet; when it fires it asks how long ago the last one was.
void Tunnel::on_idle(engine::Status status) {
  if (ended_) return release_when_quiet();
  if (status == engine::Status::canceled) return;
  const Duration limit = idle_limit();
  if (limit <= Duration::zero()) return;
  if (up_.paused || down_.paused) last_octet_ = relay_.engine_.now();  // octets wait for their turn
  if (relay_.engine_.now() - last_octet_ < limit) return arm_idle_timer();
  end(Reason::idle, false);
}

void Tunnel::arm_turn_timer() {
  const Terms& terms = *extra_->terms;
  Instant due = up_.paused ? terms.up.due() : terms.down.due();
  if (down_.paused) due = std::min(due, terms.down.due());
  relay_.engine_.start_timer(extra_->turn, due);
}

void Tunnel::on_turn(engine::Status status) {
  if (ended_) return release_when_quiet();
  if (status == engine::Status::canceled) return;
  if (up_.paused && pump(up_, client_, target_) == Progress::failed) return;
  if (down_.paused && pump(down_, target_, client_) == Progress::failed) return;
  if (both_finished()) return end(first_fin_, true);
  rearm();
}

void Tunnel::end_gently(Reason reason) noexcept {
  const auto empty = [](const Direction& way) {
    return way.parked == nullptr && (way.pipe == nullptr || way.pipe->held == 0);
  };
  // Octets that arrived since the last turn are not seen yet: only a tunnel that has been quiet for a while can be
  // ended by FIN without making a cut stream look complete.
  const bool quiet = relay_.engine_.now() - last_octet_ >= quiet_before_fin;
  const bool held = up_.paused || down_.paused || client_.output_held() + target_.output_held() > 0;
  end(reason, quiet && empty(up_) && empty(down_) && !held);
}

void Tunnel::end(Reason reason, bool in_order) noexcept {
  if (ended_) return;
  ended_ = true;
  count_sealed();
  for (Direction* way : {&up_, &down_}) {
    if (way->parked != nullptr) unpark(*way);
    if (way->pipe != nullptr) relay_.give_back_pipe(std::move(way->pipe));
  }
  for (protect::Line* line : {&client_, &target_}) {
    if (in_order) {
      line->close(relay_.engine_);
    } else {
      line->abort(relay_.engine_);
    }
  }
  if (extra_ != nullptr) let_go_of_extra();
  relay_.ended(*this, {reason, up_.octets, down_.octets, context_});
  release_when_quiet();
}

// Budgets and quotas may go with the owner's word on the end.
void Tunnel::let_go_of_extra() noexcept {
  relay_.engine_.cancel(extra_->idle);
  relay_.engine_.cancel(extra_->turn);
  for (const Direction* way : {&up_, &down_}) {
    if (Flow* const flow = flow_of(*way)) flow->moved(0);
  }
  extra_->terms.reset();
}

void Tunnel::release_when_quiet() noexcept {
  const bool timing = extra_ != nullptr && (extra_->idle.pending() || extra_->turn.pending());
  if (!client_.pending() && !target_.pending() && !timing) relay_.release(*this);
}

}  // namespace stile::relay
