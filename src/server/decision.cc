#include "server/decision.h"

#include "server/outside.h"

namespace stile::server {

policy::Verdict decide(const Common& common, const Asker& asker, policy::Command command, const Target* target,
                       const std::optional<Address>& candidate) {
  const policy::Query query{.who = asker.who,
                            .source = asker.source,
                            .command = command,
                            .target = target,
                            .candidate = candidate,
                            .at = asker.at};
  // A relay or BIND port of ours, on any worker, is as little a target as a listener.
  const bool has_port = command == policy::Command::tcp || command == policy::Command::udp;
  if (has_port && target != nullptr && candidate && common.live_sockets->reaches({*candidate, target->port})) {
    return {.decision = policy::Verdict::Decision::deny, .reason = Reason::deny_self};
  }
  return common.policy_for(asker.local, asker.source, asker.proxied).decide(query, common.own);
}

policy::Verdict decide(const Common& common, const Grounds& grounds) {
  const auto who = common.renewed(grounds.who);
  if (!who) return {.decision = policy::Verdict::Decision::deny, .reason = Reason::deny_policy};
  const Asker asker{
      .who = &*who, .local = grounds.local, .source = grounds.source, .proxied = grounds.proxied, .at = grounds.at};
  const Target* const asked = grounds.asked ? &*grounds.asked : nullptr;
  return decide(common, asker, grounds.command, asked, grounds.candidate);
}

bool is_own(const Common& common, const Endpoint& place) {
  if (common.live_sockets->reaches(place)) return true;
  // What a policy without rules has to say is what no rule can open.
  static const policy::Policy no_rules = policy::Policy::deny_all();
  const Identity nobody = Identity::anonymous();
  const Target target{place.address, place.port};
  const policy::Query query{
      .who = &nobody, .source = {}, .command = policy::Command::tcp, .target = &target, .candidate = place.address};
  return no_rules.decide(query, common.own).reason != Reason::deny_policy;
}

bool announce_client(engine::Engine& engine, const Common& common, const std::optional<Endpoint>& client,
                     engine::Socket& socket, const Endpoint& target) {
  const std::uint32_t version = proxy_version_for(common.proxy_protocol_to, target);
  if (version == 0) return true;
  const Endpoint own = engine.local_endpoint(socket).value_or(Endpoint{});
  const auto header = proxy_header(version, client, own, target);
  const auto sent = engine.send(socket, header);
  return sent && *sent == header.size();
}

}  // namespace stile::server
