#include "client/direct.h"

#include <span>
#include <vector>

#include "base/assert.h"

namespace stile::client {

Direct::Direct(engine::Engine& engine, resolve::Resolver& resolver, const Target& target)
    : engine_(engine), resolver_(resolver), target_(target), dial_(engine) {
  lookup_.bind<&Direct::on_resolved>(this);
  dial_.bind<&Direct::on_dialled>(this);
}

void Direct::start() {
  STILE_ASSERT(!running_);
  running_ = true;
  if (const HostName* const name = target_.host_name()) return resolver_.resolve(lookup_, *name);
  dial({target_.address(), 1});
}

void Direct::cancel() noexcept {
  if (!running_) return;
  canceled_ = true;
  resolver_.cancel(lookup_);
  dial_.cancel();
}

void Direct::on_resolved(engine::Status) {
  const resolve::Answer& answer = lookup_.answer();
  if (canceled_) return finish(Reason::client_reset);
  if (answer.addresses.empty()) return finish(answer.reason);
  dial(answer.addresses);
}

void Direct::dial(std::span<const Address> addresses) {
  std::vector<Endpoint> candidates;
  for (const Address& address : addresses) candidates.push_back({address, target_.port});
  dial_.start(candidates, {});
}

void Direct::on_dialled(engine::Status) {
  finish(canceled_ ? Reason::client_reset : dial_.reason());
}

void Direct::finish(Reason reason) noexcept {
  reason_ = reason;
  running_ = false;
  engine_.post(done_);
}

}  // namespace stile::client
