// Reverse forwarding: the proxy is asked to listen for us (BIND), and the connection that arrives there is led to a
// target of this side, by a relay of its own. BIND takes one connection, so that the proxy is asked again as soon as
// one came, for the port that it gave before, of which each answer is told. What comes to nothing later is tried again,
// after a while; the very first answer decides whether there is a reverse forward at all.
// Threading: one engine's thread. Tested in tests/e2e/forward_reverse_test.py.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "engine/engine.h"
#include "forward/teller.h"
#include "relay/tcp_relay.h"
#include "resolve/resolver.h"
#include "route/chain.h"
#include "session/proxy_failure.h"

namespace stile::forward {

class Reverses final : private relay::TunnelOwner {
 public:
  struct Ground {
    engine::Engine& engine;
    resolve::Resolver& resolver;
    std::vector<const route::Hop*> hops;
    Teller& teller;
    std::function<void(const session::Advice&)> refused;  // the first answer to one of them; once, not inline
  };
  explicit Reverses(Ground ground);
  Reverses(const Reverses&) = delete;
  Reverses& operator=(const Reverses&) = delete;
  /// When it is quiet.
  ~Reverses() override;

  /// `from`: whom to let in, by address or name; absent: whomever the proxy does. `port`: the wanted one.
  void add(std::uint16_t port, const std::optional<Host>& from, const Target& target);
  /// Ends all, with completions that follow.
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept;

 private:
  class Door;
  class Visit;

  void tunnel_ended(const relay::TunnelEnd& end) noexcept override;
  // Nothing is looked at.
  void request_seen(void*, const wire::HttpSighting&) noexcept override {}
  void hello_seen(void*, const wire::TlsClientHello&) noexcept override {}
  void refuse(const session::Advice& advice);
  void left(const Visit& visit) noexcept;

  Ground ground_;
  relay::Relay relay_;
  std::vector<std::unique_ptr<Door>> doors_;
  std::vector<std::unique_ptr<Visit>> visits_;
  bool stopping_ = false;
};

}  // namespace stile::forward
