#include "route/way.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::route {
namespace {

/// Who let us in and then kept us waiting. Its target may be slow, so nobody is blamed for that; but another one may do
/// better.
std::optional<std::size_t> late_hop(const Trouble& trouble) noexcept {
  const bool late =
      trouble.obstacle == Obstacle::conversation && trouble.failure.fault == session::ProxyFault::timed_out;
  return late ? std::optional(trouble.hop) : std::nullopt;
}

/// Twice what the member has taken lately, within the bounds of RFC 8305 section 5: who is only far away is not
/// overtaken, and keeps those who are hashed to it.
Duration stagger_of(const UpstreamGroup::Figures& figures) noexcept {
  constexpr Duration shortest = limits::connect_stagger;
  constexpr Duration longest = limits::upstream_stagger_max;
  return figures.latency ? std::clamp(2 * *figures.latency, shortest, longest) : shortest;
}

}  // namespace

Way::Way(engine::Engine& engine, resolve::Resolver& resolver, Upstreams& upstreams)
    : engine_(engine), resolver_(resolver), upstreams_(upstreams) {
  stagger_.bind<&Way::on_stagger>(this);
}

void Way::start(std::span<const std::string> via, const Ask& ask, const WayKeys& keys, Duration total) {
  STILE_ASSERT(legs_.empty() && !via.empty() && via.size() <= limits::chain_hops_max);
  ask_ = ask;
  end_ = engine_.now() + total;
  for (const std::string& name : via) {
    auto upstream = upstreams_.find(name);
    if (upstream == nullptr) return finish(Reason::upstream_failed);  // a reload took it away
    Leg& leg = legs_.emplace_back(std::move(upstream), keys, engine_.now(), engine_.random());
    if (legs_.size() > 1) leg.take_next();
  }
  race_next();
}

// ── the first connection ────────────────────────────────────────────────────────────────────────────────────────────

void Way::race_next() {
  Leg& first = legs_.front();
  first.take_next();
  UpstreamGroup& group = first.upstream->group;
  racers_.push_back(std::make_unique<Racer>(*this, first.member));
  Racer& racer = *racers_.back();
  racer.began = engine_.now();
  racer.attempt = group.begin(first.member, racer.began);
  racer.approach = std::make_unique<Approach>(engine_, resolver_);
  racer.approach->bind<&Racer::on_met>(&racer);
  racer.approach->start(first.hop(), dial_limits(first.hop(), first.plan->settings.timeout), ask_.egress);
  engine_.start_timer(stagger_, racer.began + stagger_of(group.figures(first.member, racer.began)));
}

void Way::on_stagger(engine::Status status) {
  const bool due = status == engine::Status::done && !racers_.empty() && !canceled_ && engine_.now() < end_;
  if (due && racers_.size() < limits::upstream_racers_max && !legs_.front().untried.empty()) race_next();
  complete_when_quiet();
}

void Way::on_met(Racer& racer) {
  const auto place = std::ranges::find_if(racers_, [&](const auto& one) { return one.get() == &racer; });
  const std::unique_ptr<Racer> ended = std::move(*place);
  racers_.erase(place);
  const Trouble& trouble = racer.approach->trouble();
  if (trouble.obstacle == Obstacle::none) return win(racer);
  UpstreamState& upstream = *legs_.front().upstream;
  const bool blamed = blamed_hop(trouble, legs_.size()).has_value();
  if (blamed) {
    upstream.failed(racer.attempt, engine_.now(), trouble, 0);
  } else {
    upstream.group.abandoned(racer.attempt, engine_.now());
  }
  if (blamed && !canceled_ && engine_.now() < end_ && !legs_.front().untried.empty()) return race_next();
  if (racers_.empty()) finish(reason_of(trouble, legs_.size()));
}

/// The others go on without us; where the winner disappoints, they are tried again after those that were not.
void Way::win(Racer& racer) {
  Leg& first = legs_.front();
  engine_.cancel(stagger_);
  for (const std::unique_ptr<Racer>& other : racers_) {
    first.untried.push_back(static_cast<std::uint8_t>(other->member));
    upstreams_.let_go_on({.state = first.upstream,
                          .plan = first.plan,
                          .attempt = other->attempt,
                          .began = other->began,
                          .approach = std::move(other->approach)});
  }
  racers_.clear();
  first.member = racer.member;
  first.attempt = racer.attempt;
  set_out(*racer.approach);
}

// ── the conversations ───────────────────────────────────────────────────────────────────────────────────────────────

void Way::set_out(Approach& met) {
  std::array<const Hop*, limits::chain_hops_max> hops{};
  Duration greeting{};
  for (std::size_t i = 0; i < legs_.size(); ++i) {
    Leg& leg = legs_[i];
    hops[i] = &leg.hop();
    if (i != 0) leg.begin(engine_.now());
    greeting = std::max(greeting, leg.plan->settings.timeout);
  }
  // The last one's reply is awaited as long as there is time, or half as long where another could be asked.
  const Duration left = end_ - engine_.now();
  const bool replaceable = !legs_.back().untried.empty();
  const ChainLimits limits{
      .dial = {}, .greeting = greeting, .conversation = std::max<Duration>(greeting, replaceable ? left / 2 : left)};
  chain_.emplace(engine_, resolver_, std::span(hops).first(legs_.size()), ask_, limits);
  chain_->bind<&Way::on_chain>(this);
  chain_->watch(*this);
  chain_->start(met);
}

void Way::await_peer(Duration limit) {
  chain_->await_peer(limit);
}

void Way::cancel() noexcept {
  if (!pending()) return;
  canceled_ = true;
  reason_ = Reason::client_reset;
  for (const std::unique_ptr<Racer>& racer : racers_) racer->approach->cancel();
  if (chain_) chain_->cancel();
}

void Way::hop_met(std::size_t hop, Duration latency) noexcept {
  legs_[hop].met(engine_.now(), latency);
}

void Way::on_chain(engine::Status) {
  const Trouble trouble = chain_->trouble();
  const std::optional<std::size_t> blamed = blamed_hop(trouble, legs_.size());
  learn(blamed, trouble);
  if (trouble.obstacle == Obstacle::none) return finish(Reason::none);
  if (!canceled_ && try_another(blamed ? blamed : late_hop(trouble))) return race_next();
  finish(reason_of(trouble, legs_.size()));
}

/// Those in front of the one to blame have shown that they work; those behind it have shown nothing.
void Way::learn(std::optional<std::size_t> blamed, const Trouble& trouble) {
  for (std::size_t i = 0; i < legs_.size(); ++i) legs_[i].ended(blamed == i, engine_.now(), trouble, i);
}

// What a client was told of cannot be taken back: behind the first reply to BIND it is one server's.
bool Way::try_another(std::optional<std::size_t> instead_of) {
  if (!instead_of || engine_.now() >= end_ || told_) return false;
  Leg& leg = legs_[*instead_of];
  if (leg.untried.empty()) return false;
  if (*instead_of == 0) return true;
  leg.take_next();
  Leg& first = legs_.front();  // did well
  first.untried.insert(first.untried.begin(), static_cast<std::uint8_t>(first.member));
  return true;
}

void Way::finish(Reason reason) noexcept {
  told_ = reason == Reason::none;
  reason_ = canceled_ ? Reason::client_reset : reason;
  settled_ = true;
  engine_.cancel(stagger_);
  complete_when_quiet();
}

void Way::complete_when_quiet() noexcept {
  if (!settled_ || stagger_.pending()) return;
  settled_ = false;
  engine_.post(done_);
}

std::string Way::text() const {
  return text_of(legs_);
}

bool Way::ends_at_service() const noexcept {
  return legs_.back().hop().url.protocol == wire::ProxyProtocol::proxy_protocol;
}

Passage Way::passage() const {
  Passage passage;
  for (const Leg& leg : legs_) passage.add(leg);
  return passage;
}

}  // namespace stile::route
