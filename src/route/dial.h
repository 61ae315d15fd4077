// One outgoing connection to the first of several candidate addresses that answers: RFC 8305 ("happy eyeballs"), with
// the failure told as truthfully as the network told it. The candidates were decided by policy before; exactly these
// are dialled, in this order, and nothing else.
// Threading: one engine's thread. Tested in dial_test.cc on the simulation.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/reason.h"
#include "engine/engine.h"

namespace stile::route {

struct DialLimits {
  Duration per_address = limits::connect_per_address;
  Duration total = limits::connect_total;
  Duration stagger = limits::connect_stagger;
};

/// The reason behind one failed attempt (protocol reference, section 2.5).
[[nodiscard]] Reason dial_reason(const engine::ConnectFailure& failure) noexcept;

/// A dial, owned by the caller, which stays in place until its completion.
class Dial {
 public:
  explicit Dial(engine::Engine& engine) noexcept;
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;
  ~Dial();

  /// `dial.bind<&Connection::on_dialled>(this)`, with `void on_dialled(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// Dials 1..candidates_max endpoints; exactly one completion follows, never inline. More candidates are not tried.
  void start(std::span<const Endpoint> candidates, const DialLimits& limits);
  /// Ends all attempts; the completion comes with Status::canceled semantics: `reason()` is client_reset. A no-op when
  /// nothing is pending.
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept;

  /// After completion. Reason::none: connected. Otherwise the most specific failure of all attempts, in the order
  /// refused, TTL expired, host unreachable, network unreachable, other.
  [[nodiscard]] Reason reason() const noexcept;
  /// After success: the endpoint connected to, byte for byte one of the candidates.
  [[nodiscard]] const Endpoint& peer() const noexcept;
  /// After success, once: hands over the connected socket. `into` must be closed.
  void take(engine::Socket& into) noexcept;

 private:
  // The implementation's own.
  struct Attempt;
  engine::Engine& engine_;
  engine::Operation done_;
};

}  // namespace stile::route
