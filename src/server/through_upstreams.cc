#include "server/through_upstreams.h"

#include "base/assert.h"

namespace stile::server {
namespace {

policy::Policy policy_through(const route::UpstreamPlans& upstreams, std::string_view first) {
  std::string via;
  policy::Upstreams traits;
  for (const auto& upstream : upstreams) {
    via += (via.empty() ? "" : " > ") + upstream->settings.name;
    traits.emplace(upstream->settings.name,
                   policy::UpstreamTraits{.takes_names = upstream->settings.takes_names(), .hops = 1});
  }
  const std::string rules = std::string(first) +
                            "proxy: allow anyone to any:1-65535, private:1-65535, loopback:1-65535, "
                            "link-local:1-65535, cgnat:1-65535, multicast:1-65535, metadata:1-65535, reserved:1-65535 "
                            "via " +
                            via + "\n";
  auto policy = policy::Policy::compile(rules, {}, traits);
  STILE_ASSERT(policy.has_value());
  return *std::move(policy);
}

}  // namespace

std::vector<std::string> names_of(const route::UpstreamPlans& upstreams) {
  std::vector<std::string> names;
  for (const auto& upstream : upstreams) names.push_back(upstream->settings.name);
  return names;
}

std::vector<const route::Hop*> hops_of(const route::UpstreamPlans& upstreams) {
  std::vector<const route::Hop*> hops;
  for (const auto& upstream : upstreams) hops.push_back(&upstream->hops.front());
  return hops;
}

std::shared_ptr<Common> common_through(const route::UpstreamPlans& upstreams, std::string_view first) {
  auto common = std::make_shared<Common>();
  common->policy = std::make_shared<const policy::Policy>(policy_through(upstreams, first));
  common->live_sockets = std::make_shared<relay::LiveSockets>();
  common->probe_gate = std::make_shared<ProbeGate>();
  common->upstreams = upstreams;
  common->limits.half_closed = Duration::zero();
  common->limits.sessions_per_source = common->limits.sessions;
  common->limits.sessions_per_listener = common->limits.sessions;
  return common;
}

}  // namespace stile::server
