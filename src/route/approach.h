// The first connection of a way: a proxy is found by its name and dialled, from where the rule or the upstream says.
// Refuses: to dial a proxy of another host that a password would go to in clear, unless told so (threat TA8), and one
// for which a Kerberos ticket is needed and not there; to say a word to it.
// Threading: one engine's thread. Tested in chain_test.cc and way_test.cc on the simulation.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/egress.h"
#include "engine/engine.h"
#include "protect/gss_ticket.h"
#include "protect/tls.h"
#include "resolve/resolver.h"
#include "route/dial.h"
#include "route/trouble.h"
#include "wire/proxy_url.h"

namespace stile::route {

/// One proxy, and how it is met.
struct Hop {
  wire::ProxyUrl url;
  bool clear_password_allowed = false;                      // over a network that others may read
  std::shared_ptr<const protect::TlsClient> tls = nullptr;  // whom to trust; where the URL asks for TLS (asserted)
  std::string gss_service = "rcmd";                         // what the proxy is to Kerberos
  bool gss_encrypted = true;                                // level 2 of RFC 1961 is asked for; else 1
  // Where the ticket for it is; null: in the cache of whoever runs this process, who can wait for the KDC.
  std::shared_ptr<protect::GssTicketPlace> ticket = nullptr;
  bool pipelined = false;      // SOCKS5: it takes all of a conversation at once, in one round trip
  bool announces = false;      // a PROXY header, version 2, comes before anything else
  bool fast_open = false;      // as of engine::ConnectOptions; of one that answers what it is told first
  EgressSettings egress = {};  // where connections to it leave this host
};

/// `timeout`: for all of it.
[[nodiscard]] DialLimits dial_limits(const Hop& hop, Duration timeout) noexcept;

/// It takes a ticket, and there is none that is valid.
[[nodiscard]] bool lacks_ticket(const Hop& hop, const engine::Engine& engine);

/// Owned by the caller, in place until its completion. Used once.
class Approach {
 public:
  /// Both outlive it.
  Approach(engine::Engine& engine, resolve::Resolver& resolver);
  Approach(const Approach&) = delete;
  Approach& operator=(const Approach&) = delete;
  /// Closes a connection that nobody took. Not while pending (asserted by its parts).
  ~Approach() = default;

  /// The completion, `void on_met(engine::Status)`. May be bound to somebody else while pending.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// One completion follows, never inline. `hop` outlives the approach. `egress` comes before the hop's own.
  void start(const Hop& hop, const DialLimits& limits, const EgressSettings& egress);
  /// Gives up; the completion comes with Obstacle::canceled. A no-op when nothing is pending.
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept { return done_.pending() || lookup_.pending() || dial_.pending(); }

  /// After completion. Obstacle::none: connected.
  [[nodiscard]] const Trouble& trouble() const noexcept { return trouble_; }
  /// The address that was reached, or could not be; unspecified before.
  [[nodiscard]] const Endpoint& peer() const noexcept { return peer_; }
  /// After success, once. `into` must be closed.
  void take(engine::Socket& into) noexcept { dial_.take(into); }

 private:
  void on_resolved(engine::Status status);
  void on_dialled(engine::Status status);
  void dial(std::span<const Address> addresses);
  void finish(Obstacle obstacle, Reason reason = Reason::none) noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  engine::Operation done_;
  resolve::Lookup lookup_;
  Dial dial_;
  const Hop* hop_ = nullptr;
  DialLimits limits_;
  EgressSettings egress_;
  Endpoint peer_;
  Trouble trouble_;
  bool canceled_ = false;
};

}  // namespace stile::route
