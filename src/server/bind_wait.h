// BIND: a listening socket that waits for one peer (RFC 1928 section 4, protocol reference 3.2). Bound and listening
// before the first reply; closed on the first peer that is expected and admitted, at the time limit, or when the client
// goes. Threading: one engine's thread. Tested in bind_wait_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/port_range.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "relay/live_sockets.h"

namespace stile::server {

class BindWait {
 public:
  struct Rules {
    std::vector<Address> expected;                     // empty: whoever `admits` lets in
    std::function<bool(const Endpoint& peer)> admits;  // the policy's word on each peer
    bool stranger_ends = false;                        // SOCKS4: another peer than the expected one ends the wait
    Duration limit = limits::bind_wait;
    std::optional<engine::Egress> egress;  // where answers to the peer leave; its address is `local`
    std::optional<Address> advertise;      // what `local` is called outside: no client is sent there either
  };

  /// `live`: where the port is registered while it is open, so that no client is sent to it.
  BindWait(engine::Engine& engine, relay::LiveSockets& live);
  BindWait(const BindWait&) = delete;
  BindWait& operator=(const BindWait&) = delete;
  /// Only when nothing is pending (asserted by its parts).
  ~BindWait() = default;

  /// The completion of a wait: `void on_peer(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// Listens on `local`, at `wanted` if that is in `ports` and free, else at any free port of the range, drawn at
  /// random. One completion follows, unless this fails: address_in_use where no port is free, or as the system says.
  [[nodiscard]] Result<Endpoint> start(const Address& local, std::uint16_t wanted, const PortRange& ports, Rules rules);
  /// Stops waiting; its completion, if one is due, still comes. A no-op when nothing waits.
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept {
    return done_.pending() || listener_.pending() || timer_.pending() || waiting_;
  }

  /// After completion. Reason::none: a peer came.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  [[nodiscard]] const Endpoint& peer() const noexcept { return peer_; }
  /// After success, once: hands over the peer's connection. `into` must be closed.
  void take(engine::Socket& into) noexcept { engine_.move(accepted_, into); }
  /// Peers that were turned away.
  [[nodiscard]] std::size_t strangers() const noexcept { return strangers_; }

 private:
  void on_listener_ready(engine::Status status);
  void on_deadline(engine::Status status);
  [[nodiscard]] Result<void> open(const Address& local, std::uint16_t wanted, const PortRange& ports);
  [[nodiscard]] bool expects(const Endpoint& peer) const;
  void finish(Reason reason) noexcept;
  [[nodiscard]] std::optional<Endpoint> outside() const noexcept;
  void complete_when_quiet() noexcept;

  engine::Engine& engine_;
  relay::LiveSockets& live_;
  engine::Operation done_;
  engine::Socket listener_;
  engine::Socket accepted_;
  engine::Timer timer_;
  Rules rules_;
  Endpoint local_;
  Endpoint peer_;
  Reason reason_ = Reason::none;
  std::size_t strangers_ = 0;
  bool waiting_ = false;
  bool finished_ = false;
};

}  // namespace stile::server
