// A connection without a proxy, for targets that NO_PROXY names: the name is looked up, and its addresses are dialled
// (route/dial.h). Threading: one engine's thread. Tested by tests/e2e/libstile_test.py.
#pragma once

#include "base/address.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "protect/line.h"
#include "resolve/resolver.h"
#include "route/dial.h"

namespace stile::client {

/// Owned by the caller, in place until its completion. Used once.
class Direct {
 public:
  /// `engine` and `resolver` outlive it.
  Direct(engine::Engine& engine, resolve::Resolver& resolver, const Target& target);
  Direct(const Direct&) = delete;
  Direct& operator=(const Direct&) = delete;

  /// `direct.bind<&Owner::on_connected>(this)`, with `void on_connected(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// Exactly one completion follows, never inline.
  void start();
  /// The completion comes with Reason::client_reset. A no-op when nothing is pending.
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept { return running_ || done_.pending(); }

  /// After completion. Reason::none: connected; else what the lookup or the dialling failed of.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  /// After success, once. `into` must be closed.
  void take(protect::Line& into) noexcept { dial_.take(into.socket()); }

 private:
  void on_resolved(engine::Status status);
  void on_dialled(engine::Status status);
  void dial(std::span<const Address> addresses);
  void finish(Reason reason) noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  Target target_;
  engine::Operation done_;
  resolve::Lookup lookup_;
  route::Dial dial_;
  Reason reason_ = Reason::none;
  bool running_ = false;
  bool canceled_ = false;
};

}  // namespace stile::client
