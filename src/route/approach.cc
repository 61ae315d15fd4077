#include "route/approach.h"

#include <algorithm>
#include <optional>

#include "base/assert.h"
#include "base/loopback.h"

namespace stile::route {

// A service in the path answers nothing by itself, so that nobody would know whether it was reached.
DialLimits dial_limits(const Hop& hop, Duration timeout) noexcept {
  const bool answers = hop.url.protocol != wire::ProxyProtocol::proxy_protocol;
  return {.per_address = timeout, .total = timeout, .fast_open = hop.fast_open && answers};
}

bool lacks_ticket(const Hop& hop, const engine::Engine& engine) {
  return hop.ticket != nullptr && hop.ticket->ticket(engine.wall_now()) == nullptr;
}

Approach::Approach(engine::Engine& engine, resolve::Resolver& resolver)
    : engine_(engine), resolver_(resolver), dial_(engine) {
  lookup_.bind<&Approach::on_resolved>(this);
  dial_.bind<&Approach::on_dialled>(this);
}

void Approach::start(const Hop& hop, const DialLimits& limits, const EgressSettings& egress) {
  STILE_ASSERT(hop_ == nullptr);
  hop_ = &hop;
  limits_ = limits;
  egress_ = egress.or_else(hop.egress);
  if (lacks_ticket(hop, engine_)) return finish(Obstacle::protection, Reason::gss_ticket);
  const Target& server = hop.url.server;
  if (const HostName* const name = server.host_name()) return resolver_.resolve(lookup_, *name);
  dial({server.address(), 1});
}

void Approach::on_resolved(engine::Status) {
  if (canceled_) return finish(Obstacle::canceled);
  const resolve::Answer& answer = lookup_.answer();
  if (answer.addresses.empty()) return finish(Obstacle::proxy_name, answer.reason);
  dial(answer.addresses);
}

void Approach::dial(std::span<const Address> addresses) {
  const wire::ProxyUrl& url = hop_->url;
  const bool afar = !std::ranges::all_of(addresses, is_loopback);
  const bool in_clear = url.protection == wire::ProxyProtection::none;
  if (url.password && in_clear && afar && !hop_->clear_password_allowed) return finish(Obstacle::clear_password);
  std::vector<Endpoint> candidates;
  std::vector<std::optional<engine::Egress>> egress;
  for (const Address& address : addresses) {
    candidates.push_back({address, url.server.port});
    egress.push_back(egress_of(egress_, engine_));
  }
  dial_.start(candidates, limits_, egress);
}

void Approach::on_dialled(engine::Status) {
  if (canceled_) return finish(Obstacle::canceled);
  peer_ = dial_.peer();
  if (dial_.reason() != Reason::none) return finish(Obstacle::dial, dial_.reason());
  finish(Obstacle::none);
}

void Approach::cancel() noexcept {
  if (!pending()) return;
  canceled_ = true;
  trouble_ = {.obstacle = Obstacle::canceled, .reason = Reason::none, .failure = {}, .hop = 0};
  resolver_.cancel(lookup_);
  dial_.cancel();
}

void Approach::finish(Obstacle obstacle, Reason reason) noexcept {
  trouble_ = {.obstacle = obstacle, .reason = reason, .failure = {}, .hop = 0};
  engine_.post(done_);
}

}  // namespace stile::route
