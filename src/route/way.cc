#include "route/way.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"

namespace stile::route {

std::uint64_t key_of(config::Pick pick, const WayKeys& keys) noexcept {
  switch (pick) {
    case config::Pick::hash_user:
      return keys.user;
    case config::Pick::hash_target:
      return keys.target;
    default:
      return keys.source;
  }
}

Passage& Passage::operator=(Passage&& other) noexcept {
  leave();
  through_ = std::exchange(other.through_, {});
  return *this;
}

Passage::~Passage() {
  leave();
}

void Passage::add(std::shared_ptr<UpstreamState> upstream, std::size_t member) {
  upstream->group.session_began(member);
  through_.push_back({std::move(upstream), member});
}

void Passage::leave() noexcept {
  for (const Through& one : through_) one.upstream->group.session_ended(one.member);
}

Way::Way(engine::Engine& engine, resolve::Resolver& resolver, const Upstreams& upstreams)
    : engine_(engine), resolver_(resolver), upstreams_(upstreams) {}

void Way::start(std::span<const std::string> via, const Ask& ask, const WayKeys& keys, Duration total) {
  STILE_ASSERT(legs_.empty() && !via.empty() && via.size() <= limits::chain_hops_max);
  ask_ = ask;
  end_ = engine_.now() + total;
  for (const std::string& name : via) {
    auto upstream = upstreams_.find(name);
    if (upstream == nullptr) return finish(Reason::upstream_failed);  // a reload took it away
    Leg leg{.upstream = upstream, .plan = upstream->plan, .order = {}, .attempt = {}};
    leg.order = upstream->group.order(engine_.now(), key_of(leg.plan->settings.pick, keys), engine_.random());
    legs_.push_back(std::move(leg));
  }
  set_out();
}

void Way::set_out() {
  std::array<const Hop*, limits::chain_hops_max> hops{};
  Duration greeting{};
  for (std::size_t i = 0; i < legs_.size(); ++i) {
    Leg& leg = legs_[i];
    hops[i] = &leg.plan->hops[leg.member()];
    leg.attempt = leg.upstream->group.begin(leg.member(), engine_.now());
    greeting = std::max(greeting, leg.plan->settings.timeout);
  }
  const Duration first = legs_.front().plan->settings.timeout;
  const ChainLimits limits{.dial = {.per_address = first, .total = first},
                           .greeting = greeting,
                           .conversation = std::max<Duration>(greeting, end_ - engine_.now())};
  chain_.emplace(engine_, resolver_, std::span(hops).first(legs_.size()), ask_, limits);
  chain_->bind<&Way::on_chain>(this);
  chain_->watch(*this);
  chain_->start();
}

void Way::await_peer(Duration limit) {
  chain_->await_peer(limit);
}

void Way::cancel() noexcept {
  if (!pending()) return;
  canceled_ = true;
  reason_ = Reason::client_reset;
  if (chain_) chain_->cancel();
}

void Way::hop_met(std::size_t hop, Duration latency) noexcept {
  Leg& leg = legs_[hop];
  if (leg.attempt) (void)leg.upstream->group.succeeded(*std::exchange(leg.attempt, {}), engine_.now(), latency);
}

void Way::on_chain(engine::Status) {
  const Trouble trouble = chain_->trouble();
  const std::optional<std::size_t> blamed = blamed_hop(trouble, legs_.size());
  learn(blamed);
  if (trouble.obstacle == Obstacle::none) return finish(Reason::none);
  if (!canceled_ && try_another(blamed)) return set_out();
  finish(reason_of(trouble, legs_.size()));
}

/// Those in front of the one to blame have shown that they work; those behind it have shown nothing.
void Way::learn(std::optional<std::size_t> blamed) {
  const Instant now = engine_.now();
  for (std::size_t i = 0; i < legs_.size(); ++i) {
    Leg& leg = legs_[i];
    UpstreamGroup& group = leg.upstream->group;
    if (blamed == i) {
      (void)group.failed(leg.attempt ? *leg.attempt : group.begin(leg.member(), now), now);
    } else if (leg.attempt) {
      group.abandoned(*leg.attempt, now);
    }
    leg.attempt.reset();
  }
}

// What a client was told of cannot be taken back: behind the first reply to BIND it is one server's.
bool Way::try_another(std::optional<std::size_t> blamed) {
  if (!blamed || engine_.now() >= end_ || told_) return false;
  Leg& leg = legs_[*blamed];
  if (leg.at + 1 >= leg.order.size()) return false;
  ++leg.at;
  return true;
}

void Way::finish(Reason reason) noexcept {
  told_ = reason == Reason::none;
  reason_ = canceled_ ? Reason::client_reset : reason;
  engine_.post(done_);
}

std::string Way::text() const {
  std::string text;
  for (const Leg& leg : legs_) {
    if (!text.empty()) text += " > ";
    text += leg.plan->settings.name + " (" + leg.plan->hops[leg.member()].url.server.to_string() + ")";
  }
  return text;
}

bool Way::ends_at_service() const noexcept {
  const Leg& last = legs_.back();
  return last.plan->hops[last.member()].url.protocol == wire::ProxyProtocol::proxy_protocol;
}

Passage Way::passage() const {
  Passage passage;
  for (const Leg& leg : legs_) passage.add(leg.upstream, leg.member());
  return passage;
}

}  // namespace stile::route
