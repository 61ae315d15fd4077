#include "relay/live_sockets.h"

#include "base/assert.h"
#include "policy/facets.h"
#include "policy/policy.h"

namespace stile::relay {

LiveSockets::LiveSockets() : ports_(std::make_unique<PortCounts>()) {}

LiveSockets::~LiveSockets() {
  STILE_ASSERT(sockets_.empty());
}

void LiveSockets::add(const Endpoint& socket) {
  const std::scoped_lock lock(mutex_);
  sockets_.insert(socket);
  (*ports_)[socket.port].fetch_add(1, std::memory_order_release);
}

void LiveSockets::remove(const Endpoint& socket) {
  const std::scoped_lock lock(mutex_);
  const auto found = sockets_.find(socket);
  STILE_ASSERT(found != sockets_.end());
  sockets_.erase(found);
  (*ports_)[socket.port].fetch_sub(1, std::memory_order_release);
}

bool LiveSockets::holds(const Endpoint& socket) const {
  if (!port_in_use(socket.port)) return false;
  const std::scoped_lock lock(mutex_);
  return sockets_.contains(socket);
}

bool LiveSockets::reaches(const Endpoint& target) const {
  if (!port_in_use(target.port)) return false;
  for (const policy::Facet& facet : policy::FacetSet(target.address, policy::OwnAddresses{})) {
    if (holds({facet.address, target.port})) return true;
  }
  return false;
}

std::vector<Endpoint> LiveSockets::list() const {
  const std::scoped_lock lock(mutex_);
  return {sockets_.begin(), sockets_.end()};
}

}  // namespace stile::relay
