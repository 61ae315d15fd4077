// A connection through upstreams, `via one > two`: a server of each is chosen by what is known of them, and where one
// fails another takes its place, as long as nothing came of it that a client could have seen. What is learnt on the way
// is told to the upstreams' groups.
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
#include "route/upstreams.h"

namespace stile::route {

/// What hashed picks go by.
struct WayKeys {
  std::uint64_t source = 0;
  std::uint64_t user = 0;
  std::uint64_t target = 0;
};

[[nodiscard]] std::uint64_t key_of(config::Pick pick, const WayKeys& keys) noexcept;

/// A session counts for the servers that it goes through, as long as it has this.
class Passage {
 public:
  Passage() noexcept = default;
  Passage(Passage&&) noexcept = default;
  Passage& operator=(Passage&& other) noexcept;
  ~Passage();

  void add(std::shared_ptr<UpstreamState> upstream, std::size_t member);
  [[nodiscard]] bool empty() const noexcept { return through_.empty(); }

 private:
  void leave() noexcept;

  struct Through {
    std::shared_ptr<UpstreamState> upstream;
    std::size_t member = 0;
  };
  std::vector<Through> through_;
};

/// Owned by the caller, in place until its completion. Used once.
class Way final : private ChainWatch {
 public:
  /// All outlive the way.
  Way(engine::Engine& engine, resolve::Resolver& resolver, const Upstreams& upstreams);
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;
  /// Not while pending (asserted by its chain).
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
  [[nodiscard]] bool pending() const noexcept { return done_.pending() || (chain_ && chain_->pending()); }

  /// After completion. Reason::none: granted.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  /// After success, as of a Chain.
  [[nodiscard]] const wire::AddressField& bound() const noexcept { return chain_->bound(); }
  /// The first server's address that was reached.
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
  struct Leg {
    std::shared_ptr<UpstreamState> upstream;
    std::shared_ptr<const UpstreamPlan> plan;
    Order order;
    std::size_t at = 0;
    std::optional<Attempt> attempt;  // that was not told about yet

    [[nodiscard]] std::size_t member() const noexcept { return order[at]; }
  };

  void hop_met(std::size_t hop, Duration latency) noexcept override;
  void on_chain(engine::Status status);
  void set_out();
  void learn(std::optional<std::size_t> blamed);
  [[nodiscard]] bool try_another(std::optional<std::size_t> blamed);
  void finish(Reason reason) noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  const Upstreams& upstreams_;
  engine::Operation done_;
  std::vector<Leg> legs_;
  std::optional<Chain> chain_;
  Ask ask_;
  Instant end_{};
  Reason reason_ = Reason::none;
  bool told_ = false;  // of a grant
  bool canceled_ = false;
};

}  // namespace stile::route
