// The way to a target: decide on what was asked for, resolve its name once, decide on every candidate address, dial
// exactly the allowed ones (security reference, 3.4), from where their rules say. Nothing is asked of DNS for a name
// that is denied. Where the rule says `redirect`, that place is dialled instead, as written. Where it says `via`, the
// way leads through other proxies (route/way.h): a name goes on as it is to one that takes names; to others, one
// allowed address after the other. Refuses: to know the policy, which its owner asks, and what the connection is for.
// Threading: one engine's thread. Tested in reach_test.cc on the simulation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "policy/policy.h"
#include "protect/line.h"
#include "resolve/resolver.h"
#include "route/dial.h"
#include "route/way.h"

namespace stile::server {

/// Who goes through other proxies, for those that are to know.
struct Traveller {
  std::optional<Endpoint> client;  // absent: it has no address
  std::string_view user;
  std::uint64_t session = 0;
};

/// What hashed picks of upstreams go by, on the way to `target`.
[[nodiscard]] route::WayKeys keys_of(const Traveller& traveller, const Target& target);

/// What is wanted of a target other than a connection.
struct Errand {
  wire::Command command = wire::Command::resolve;  // BIND, RESOLVE, PING or TRACEROUTE
  std::uint8_t flags = 0;
};

/// Who wants to go there. Outlives the reach.
class ReachOwner {
 public:
  virtual ~ReachOwner() = default;
  /// The policy's word on a target; without a candidate where its name is not resolved yet.
  [[nodiscard]] virtual policy::Verdict decide(const Target& asked, const std::optional<Address>& candidate) = 0;
  /// What the rule of a verdict adds.
  [[nodiscard]] virtual const policy::Options& options_of(int rule) const noexcept = 0;
  /// Counts a session under the rule, or tells which of its numbers forbids it.
  [[nodiscard]] virtual Reason claim(int rule) = 0;
  [[nodiscard]] virtual Traveller traveller() const = 0;
  /// A socket of Stile's own, which no `redirect` may lead to.
  [[nodiscard]] virtual bool is_own(const Endpoint& place) const = 0;
};

class Reach {
 public:
  Reach(engine::Engine& engine, resolve::Resolver& resolver, route::Upstreams& upstreams, ReachOwner& owner);
  Reach(const Reach&) = delete;
  Reach& operator=(const Reach&) = delete;
  /// Not while pending (asserted by its parts).
  ~Reach() = default;

  /// The completion of `start`, `connect` and `find`: `void on_reached(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  // None of these while pending. One completion follows each but `ask`, never inline.
  /// The first word on a target, before its name is resolved. Of an address it is the last one too: as long as this
  /// target is in hand, no address is decided twice.
  [[nodiscard]] policy::Verdict ask(const Target& target);
  /// What was asked and not denied is resolved and dialled.
  void connect(const route::DialLimits& limits);
  /// What was asked and not denied is resolved: its allowed addresses are wanted, not a connection. Or its rule leads
  /// through other proxies, which the errand is left to.
  void find(const Errand& errand, const route::DialLimits& limits);
  /// After success of BIND through other proxies: waits for the peer, and completes once more.
  void await_peer(Duration limit) { way_->await_peer(limit); }
  /// `ask`, and `connect` unless it is denied.
  void start(const Target& target, const route::DialLimits& limits);
  /// The completion, if one is due, still comes, with this reason. A no-op when nothing is pending.
  void cancel(Reason why = Reason::client_reset) noexcept;
  [[nodiscard]] bool pending() const noexcept {
    return done_.pending() || lookup_.pending() || (dial_ && dial_->pending()) || (way_ && way_->pending());
  }

  /// In the completion, first of all: what came of it, under the policy that is in force by then. Reason::none:
  /// connected, and `take` is due; or found.
  [[nodiscard]] Reason settle();
  /// What `settle` said.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  /// The rule that decided; -1 where none did.
  [[nodiscard]] int rule() const noexcept { return rule_; }
  /// Who was dialled; after success, whom `take` is connected with.
  [[nodiscard]] const Endpoint& peer() const noexcept { return peer_; }
  /// That is another place than what was asked for.
  [[nodiscard]] bool is_redirected() const noexcept { return redirected_; }
  /// The way led, or was to lead, through other proxies: `peer` has no port then where a name went on as it is, and
  /// `take` is due for every command but RESOLVE. nullptr: it did not.
  [[nodiscard]] const route::Way* way() const noexcept { return way_ ? &*way_ : nullptr; }
  /// After success of `find`, in the resolver's order: at least one.
  [[nodiscard]] std::span<const Address> addresses() const noexcept { return addresses_; }
  /// The policy is another one from now on: what it said is asked again before it is used. The owner has given back
  /// what it counted by rules.
  void forget() noexcept {
    decided_.reset();
    stale_ = true;
  }
  /// The word on one of them.
  [[nodiscard]] policy::Verdict decide(const Address& address);
  /// Once; `into` is closed and not pending.
  void take(protect::Line& into) noexcept;

 private:
  void on_resolved(engine::Status status);
  void on_dialled(engine::Status status);
  void on_led(engine::Status status);
  void proceed();
  void judge(std::span<const Address> addresses);
  [[nodiscard]] Reason confirm();
  [[nodiscard]] Reason confirm_redirection();
  [[nodiscard]] Reason confirm_found();
  [[nodiscard]] Reason confirm_way();
  void redirect(int rule, const std::optional<Address>& candidate);
  void dial_redirected(std::span<const Address> addresses);
  void travel(int rule, const Target& place);
  void travel_next();
  void dial(std::span<const Address> addresses, std::span<const int> rules);
  void dial(std::span<const Endpoint> candidates, std::span<const std::optional<engine::Egress>> egress);
  void finish(Reason reason) noexcept;

  struct Decided {
    Address address;
    policy::Verdict verdict;
  };

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  route::Upstreams& upstreams_;
  ReachOwner& owner_;
  engine::Operation done_;
  resolve::Lookup lookup_;
  std::optional<route::Dial> dial_;  // one for each connection,
  std::optional<route::Way> way_;    // or this
  std::vector<std::string> via_;
  std::vector<Address> untried_;      // of a target's allowed addresses, last one first
  std::optional<Address> travelled_;  // to the one in hand; absent: by name
  std::string session_text_;
  std::string user_text_;
  Errand errand_;
  Target target_;
  std::optional<Decided> decided_;  // the last address: a literal, or the one dialled, need not be decided again
  std::vector<Address> addresses_;
  Target place_;  // of a redirection: where to,
  EgressSettings place_egress_;
  std::optional<Address> place_candidate_;  // and the address of the target that its rule is about, if it is about one
  route::DialLimits limits_;
  Endpoint peer_;
  Reason reason_ = Reason::none;
  int rule_ = -1;
  bool allowed_ = false;  // by name alone: the rule redirects, or leads to a proxy that takes names
  bool connects_ = false;
  bool redirected_ = false;
  Reason canceled_ = Reason::none;  // why
  bool stale_ = false;              // rules are those of a policy that is gone
};

}  // namespace stile::server
