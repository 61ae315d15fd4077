// One question to the policy, as every driver asks it: with the addresses and sockets that are Stile's own, and by the
// policy that holds between the two ends of the client's connection.
// Threading: a worker's thread. Tested through its drivers, in tests/sim and tests/e2e.
#pragma once

#include <optional>

#include "base/address.h"
#include "base/identity.h"
#include "base/reason.h"
#include "observe/record.h"
#include "policy/policy.h"
#include "server/grounds.h"
#include "server/worker.h"

namespace stile::server {

/// Who asks.
struct Asker {
  const Identity* who = nullptr;
  Address local;         // the client reached
  Address source;        // the client's own
  bool proxied = false;  // a PROXY header named it
  WeekTime at;           // when it asks
};

/// `target` is nullptr for whoever comes (BIND), wherever it goes (UDP).
[[nodiscard]] policy::Verdict decide(const Common& common, const Asker& asker, policy::Command command,
                                     const Target* target, const std::optional<Address>& candidate);

/// A socket of Stile's own stands at `place`, or would be reached by it.
[[nodiscard]] bool is_own(const Common& common, const Endpoint& place);

/// Sends the PROXY header that begins the connection to `target`, where it takes one: before every other octet and in
/// one write. `client` absent: it has no address. False where the socket, which has just connected, did not take it
/// whole: it is beyond use.
[[nodiscard]] bool announce_client(engine::Engine& engine, const Common& common, const std::optional<Endpoint>& client,
                                   engine::Socket& socket, const Endpoint& target);

/// Refused by policy, its numbers included; whatever else fails is an error.
[[nodiscard]] constexpr bool is_denial(Reason reason) noexcept {
  switch (reason) {
    case Reason::deny_policy:
    case Reason::deny_unspecified:
    case Reason::deny_self:
    case Reason::policy_changed:
    case Reason::limit_source:
    case Reason::limit_user:
    case Reason::limit_associations:
    case Reason::limit_rule:
    case Reason::limit_quota:
      return true;
    default:
      return false;
  }
}

/// What the record of a session that was not admitted is called.
[[nodiscard]] constexpr observe::Event event_of(Reason reason) noexcept {
  if (is_denial(reason)) return observe::Event::denied;
  const bool login = reason == Reason::auth_failed || reason == Reason::gss_accept || reason == Reason::auth_busy ||
                     reason == Reason::auth_unavailable || reason == Reason::auth_crashed;
  return login ? observe::Event::auth_failed : observe::Event::error;
}

}  // namespace stile::server
