#include "server/probe_gate.h"

#include "base/assert.h"

namespace stile::server {

bool ProbeGate::enter() {
  const std::scoped_lock lock(mutex_);
  if (runs_ >= limits::probe_runs_max) return false;
  ++runs_;
  return true;
}

void ProbeGate::leave() {
  const std::scoped_lock lock(mutex_);
  STILE_ASSERT(runs_ > 0);
  --runs_;
}

std::optional<Instant> ProbeGate::later(std::string_view client, Instant now) {
  const std::scoped_lock lock(mutex_);
  if (const auto known = last_.find(client); known != last_.end()) {
    if (now < known->second + limits::ping_interval) return known->second + limits::ping_interval;
    known->second = now;
    return std::nullopt;
  }
  if (last_.size() >= limits::probe_clients_max) {
    std::erase_if(last_, [&](const auto& entry) { return entry.second + limits::ping_interval <= now; });
  }
  if (last_.size() >= limits::probe_clients_max) return now + limits::ping_interval;
  last_.emplace(client, now);
  return std::nullopt;
}

}  // namespace stile::server
