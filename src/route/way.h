// A connection through upstreams, `via one > two`: a server of each is chosen by what is known of them, and where one
// fails another takes its place, as long as nothing came of it that a client could have seen. Where a server of the
// first upstream is slow to be connected to, the next one is dialled beside it, and the first that is connected is the
// one that is spoken to: RFC 8305 across servers, as route/dial.h has it across the addresses of one. What is learnt on
// the way is told to the upstreams' groups.
// Threading: one engine's thread. Tested in way_test.cc on the simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "route/chain.h"
#include "route/leg.h"
#include "route/upstreams.h"

namespace stile::route {

/// Owned by the caller, in place until its completion. Used once.
class Way final : private ChainWatch {
 public:
  /// All outlive the way.
  Way(engine::Engine& engine, resolve::Resolver& resolver, Upstreams& upstreams);
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;
  /// Not while pending (asserted by its parts).
  ~Way() override = default;

  /// The completion of `start` and `await_peer`: `void on_led(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// One completion follows, never inline, after `total` at most and what the last server takes to give up.
  void start(std::span<const std::string> via, const Ask& ask, const WayKeys& keys, Duration total);
  /// As of a Chain.
  void await_peer(Duration limit);
  [[nodiscard]] bool awaits_peer() const noexcept { return chain_ && chain_->awaits_peer(); }
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept {
    return done_.pending() || stagger_.pending() || !racers_.empty() || (chain_ && chain_->pending());
  }

  /// After completion. Reason::none: granted.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  /// After success, as of a Chain.
  [[nodiscard]] const wire::AddressField& bound() const noexcept { return chain_->bound(); }
  /// After success: the first server's address.
  [[nodiscard]] const Endpoint& peer() const noexcept { return chain_->peer(); }
  /// "exit (exit1.example:1080) > far (far.example:1080)": the servers that were tried last.
  [[nodiscard]] std::string text() const;
  /// After success: the last server is a service in the path, which speaks with the target itself (`proxy-protocol`).
  [[nodiscard]] bool ends_at_service() const noexcept;
  /// After success, once.
  void take(protect::Line& into) noexcept { chain_->take(into); }
  /// After success: a session goes this way.
  [[nodiscard]] Passage passage() const;

 private:
  /// A server of the first upstream that is dialled.
  struct Racer {
    Racer(Way& of, std::size_t which) : way(of), member(which) {}
    void on_met(engine::Status) { way.on_met(*this); }

    Way& way;
    std::size_t member;
    Attempt attempt;
    Instant began{};
    std::unique_ptr<Approach> approach;
  };

  void hop_met(std::size_t hop, Duration latency) noexcept override;
  void on_chain(engine::Status status);
  void on_met(Racer& racer);
  void on_stagger(engine::Status status);
  void race_next();
  void win(Racer& racer);
  void set_out(Approach& met);
  void learn(std::optional<std::size_t> blamed, const Trouble& trouble);
  [[nodiscard]] bool try_another(std::optional<std::size_t> instead_of);
  void finish(Reason reason) noexcept;
  void complete_when_quiet() noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  Upstreams& upstreams_;
  engine::Operation done_;
  engine::Timer stagger_;  // until another server is dialled beside
  std::vector<std::unique_ptr<Racer>> racers_;
  std::vector<Leg> legs_;
  std::optional<Chain> chain_;
  Ask ask_;
  Instant end_{};
  Reason reason_ = Reason::none;
  bool told_ = false;  // of a grant
  bool canceled_ = false;
  bool settled_ = false;  // the completion is due
};

}  // namespace stile::route
