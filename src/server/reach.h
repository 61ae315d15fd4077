// The way to a target: decide on what was asked for, resolve its name once, decide on every candidate address, dial
// exactly the allowed ones (security reference, 3.4). Nothing is asked of DNS for a name that is denied.
// Refuses: to know the policy, which its owner asks, and what the connection is for.
// Threading: one engine's thread. Tested in reach_test.cc on the simulation.
#pragma once

#include <functional>
#include <optional>

#include "base/address.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "policy/policy.h"
#include "resolve/resolver.h"
#include "route/dial.h"

namespace stile::server {

class Reach {
 public:
  /// The policy's word on a target; without a candidate where its name is not resolved yet.
  using Decide = std::function<policy::Verdict(const Target&, const std::optional<Address>&)>;

  Reach(engine::Engine& engine, resolve::Resolver& resolver, Decide decide);
  Reach(const Reach&) = delete;
  Reach& operator=(const Reach&) = delete;
  /// Not while pending (asserted by its parts).
  ~Reach() = default;

  /// The completion of a start: `void on_reached(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// Not while pending. One completion follows, never inline.
  void start(const Target& target, const route::DialLimits& limits);
  /// The completion, if one is due, still comes, with the reason client_reset. A no-op when nothing is pending.
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept {
    return done_.pending() || lookup_.pending() || (dial_ && dial_->pending());
  }

  /// After completion. Reason::none: connected, and `take` is due.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  /// The rule that decided; -1 where none did.
  [[nodiscard]] int rule() const noexcept { return rule_; }
  /// Who was dialled; after success, whom `take` is connected with.
  [[nodiscard]] const Endpoint& peer() const noexcept { return peer_; }
  /// Once; `into` is closed and not pending.
  void take(engine::Socket& into) noexcept { dial_->take(into); }

 private:
  void on_resolved(engine::Status status);
  void on_dialled(engine::Status status);
  void dial(std::span<const Address> addresses);
  void finish(Reason reason) noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  Decide decide_;
  engine::Operation done_;
  resolve::Lookup lookup_;
  std::optional<route::Dial> dial_;  // one for each start
  Target target_;
  route::DialLimits limits_;
  Endpoint peer_;
  Reason reason_ = Reason::none;
  int rule_ = -1;
  bool canceled_ = false;
};

}  // namespace stile::server
