#include "route/leg.h"

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

Leg::Leg(std::shared_ptr<UpstreamState> of, const WayKeys& keys, Instant now, std::uint64_t random)
    : upstream(std::move(of)), plan(upstream->plan) {
  const Order order = upstream->group.order(now, key_of(plan->settings.pick, keys), random);
  untried.assign(order.begin(), order.end());
  member = untried.front();
}

std::string Leg::text() const {
  return plan->settings.name + " (" + hop().url.server.to_string() + ")";
}

void Leg::take_next() noexcept {
  STILE_ASSERT(!untried.empty());
  member = untried.front();
  untried.erase(untried.begin());
}

void Leg::met(Instant now, Duration latency) noexcept {
  if (attempt) upstream->succeeded(*std::exchange(attempt, {}), now, latency);
}

void Leg::ended(bool blamed, Instant now, const Trouble& trouble, std::size_t index) {
  UpstreamGroup& group = upstream->group;
  if (blamed) {
    upstream->failed(attempt ? *attempt : group.begin(member, now), now, trouble, index);
  } else if (attempt) {
    group.abandoned(*attempt, now);
  }
  attempt.reset();
}

Passage& Passage::operator=(Passage&& other) noexcept {
  leave();
  through_ = std::exchange(other.through_, {});
  return *this;
}

Passage::~Passage() {
  leave();
}

void Passage::add(const Leg& leg) {
  leg.upstream->group.session_began(leg.member);
  through_.push_back({leg.upstream, leg.member});
}

void Passage::leave() noexcept {
  for (const Through& one : through_) one.upstream->group.session_ended(one.member);
}

}  // namespace stile::route
