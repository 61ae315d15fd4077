#include "server/decision.h"

namespace stile::server {

policy::Verdict decide(const Common& common, const Asker& asker, policy::Command command, const Target* target,
                       const std::optional<Address>& candidate) {
  const policy::Query query{
      .who = asker.who, .source = asker.source, .command = command, .target = target, .candidate = candidate};
  // A relay or BIND port of ours, on any worker, is as little a target as a listener.
  const bool has_port = command == policy::Command::tcp || command == policy::Command::udp;
  if (has_port && target != nullptr && candidate && common.live_sockets->reaches({*candidate, target->port})) {
    return {.decision = policy::Verdict::Decision::deny, .reason = Reason::deny_self};
  }
  return common.policy_for(asker.local, asker.source, asker.proxied).decide(query, common.own);
}

}  // namespace stile::server
