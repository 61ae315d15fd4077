#include "server/reach.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.h"

namespace stile::server {

Reach::Reach(engine::Engine& engine, resolve::Resolver& resolver, Decide decide)
    : engine_(engine), resolver_(resolver), decide_(std::move(decide)) {
  lookup_.bind<&Reach::on_resolved>(this);
}

void Reach::start(const Target& target, const route::DialLimits& limits) {
  STILE_ASSERT(!pending());
  dial_.reset();
  target_ = target;
  limits_ = limits;
  peer_ = {};
  canceled_ = false;
  const Address* const literal = target.address();
  const policy::Verdict verdict = decide_(target_, literal == nullptr ? std::nullopt : std::optional(*literal));
  rule_ = verdict.rule;
  if (verdict.decision == policy::Verdict::Decision::deny) return finish(verdict.reason);
  if (literal != nullptr) return dial({literal, 1});
  resolver_.resolve(lookup_, *target_.host_name());
}

void Reach::on_resolved(engine::Status) {
  if (canceled_ || lookup_.canceled()) return finish(Reason::client_reset);
  const resolve::Answer& answer = lookup_.answer();
  if (answer.addresses.empty()) return finish(answer.reason);
  dial(answer.addresses);
}

// Nothing else is dialled than what was allowed (principle P2). None left: the refusal's reason is told.
void Reach::dial(std::span<const Address> addresses) {
  std::array<Endpoint, limits::candidates_max> candidates;
  std::size_t count = 0;
  policy::Verdict refusal;
  for (const Address& address : addresses.first(std::min(addresses.size(), candidates.size()))) {
    const policy::Verdict verdict = decide_(target_, address);
    if (verdict.decision == policy::Verdict::Decision::allow) {
      candidates[count++] = {address, target_.port};
    } else {
      refusal = verdict;
    }
  }
  if (count == 0) {
    rule_ = refusal.rule;
    return finish(refusal.reason);
  }
  dial_.emplace(engine_);
  dial_->bind<&Reach::on_dialled>(this);
  dial_->start(std::span(candidates).first(count), limits_);
}

void Reach::on_dialled(engine::Status) {
  if (!canceled_ && dial_->reason() == Reason::none) {
    peer_ = dial_->peer();
    rule_ = decide_(target_, peer_.address).rule;
  }
  finish(canceled_ ? Reason::client_reset : dial_->reason());
}

void Reach::cancel() noexcept {
  if (!pending()) return;
  canceled_ = true;
  resolver_.cancel(lookup_);
  if (dial_) dial_->cancel();
}

void Reach::finish(Reason reason) noexcept {
  reason_ = reason;
  engine_.post(done_);
}

}  // namespace stile::server
