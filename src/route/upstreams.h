// The upstreams of the configuration on one worker: how each server is met, and what is known of its health
// (upstream_group.h). Workers share nothing but the plans, which are immutable; each learns for itself. Where the
// configuration asks for probes, each worker sends its own.
// A reload replaces the plans; an upstream that is what it was keeps what was learnt, and whoever is under way through
// another goes on with the old one.
// Threading: one engine's thread. Tested in upstreams_test.cc, and in way_test.cc on the simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/reason.h"
#include "base/time.h"
#include "config/upstream.h"
#include "engine/engine.h"
#include "resolve/resolver.h"
#include "route/chain.h"
#include "route/trouble.h"
#include "route/upstream_group.h"

namespace stile::route {

/// One upstream, ready for use.
struct UpstreamPlan {
  UpstreamPlan() = default;
  UpstreamPlan(const UpstreamPlan&) = delete;
  UpstreamPlan& operator=(const UpstreamPlan&) = delete;
  /// Wipes the passwords.
  ~UpstreamPlan();

  config::Upstream settings;
  std::vector<Hop> hops;  // one a server, in its order
};
using UpstreamPlans = std::vector<std::shared_ptr<const UpstreamPlan>>;

/// Who is told when a server goes down, as one worker sees it, and when it comes back. On the engine's thread, which
/// may not be kept waiting.
class UpstreamWatch {
 public:
  virtual ~UpstreamWatch() = default;
  /// `why`: part of a sentence.
  virtual void went_down(const UpstreamPlan& plan, std::size_t server, Instant now, std::string why) noexcept = 0;
  virtual void came_back(const UpstreamPlan& plan, std::size_t server, Instant now) noexcept = 0;
};

/// What one worker knows of it.
class UpstreamState {
 public:
  /// `watch` outlives it; null: nobody is told.
  UpstreamState(std::shared_ptr<const UpstreamPlan> of, Instant now, UpstreamWatch* watch);

  /// What came of an attempt, as the group is told it.
  void succeeded(const Attempt& attempt, Instant now, Duration latency) noexcept;
  /// `hop`: at which of the way's hops the server stands.
  void failed(const Attempt& attempt, Instant now, const Trouble& trouble, std::size_t hop);

  /// Why the last attempt at a server failed that failed by its fault.
  struct Failure {
    Trouble trouble;
    std::size_t hop = 0;
    Instant at{};
  };
  [[nodiscard]] const std::optional<Failure>& last_failure(std::size_t server) const { return failures_[server]; }
  /// When it went down, if it is: trials that failed since then count as one time with it.
  [[nodiscard]] const std::optional<Instant>& down_since(std::size_t server) const { return down_since_[server]; }

  std::shared_ptr<const UpstreamPlan> plan;
  UpstreamGroup group;

 private:
  UpstreamWatch* watch_;
  std::vector<std::optional<Failure>> failures_;  // one a server, likewise the following
  std::vector<std::optional<Instant>> down_since_;
};

/// What one worker knows of one server.
struct ServerFigures {
  struct Failure {
    Reason reason = Reason::none;  // cause_of
    std::string why;               // cause_text
    Duration ago{};
  };

  std::string upstream;
  std::string server;  // without a login
  UpstreamGroup::Figures figures;
  std::optional<Duration> down;  // for so long already
  std::optional<Failure> last_failure;
};

class Upstreams {
 public:
  Upstreams(engine::Engine& engine, resolve::Resolver& resolver);
  Upstreams(const Upstreams&) = delete;
  Upstreams& operator=(const Upstreams&) = delete;
  /// After `stop`, with its completions run (asserted).
  ~Upstreams();

  /// Who is told of servers of what is used from then on; outlives this. Null, as at first: nobody.
  void watch(UpstreamWatch* watch) noexcept { watch_ = watch; }
  /// From now on, these.
  void use(const UpstreamPlans& plans);
  /// nullptr: there is none of that name, any longer.
  [[nodiscard]] std::shared_ptr<UpstreamState> find(std::string_view name) const noexcept;
  [[nodiscard]] std::vector<ServerFigures> figures() const;

  /// The dial of a server, for a request that another one was faster for.
  struct Overtaken {
    std::shared_ptr<UpstreamState> state;
    std::shared_ptr<const UpstreamPlan> plan;
    Attempt attempt;
    Instant began{};
    std::unique_ptr<Approach> approach;  // pending
  };
  /// Goes on until it is answered or fails, and tells the group: who swallows whatever is sent shall be known for that,
  /// and who is only slow for that. Of more than a few to one server the later ones are given up.
  void let_go_on(Overtaken overtaken);
  /// No more probes, and what is under way is given up. Once; `quiet`, where there is one, is posted whenever nothing
  /// is pending any longer: again, where a session that ends later leaves a dial behind.
  void stop(engine::Operation* quiet = nullptr) noexcept;
  /// Nothing is pending in the engine.
  [[nodiscard]] bool quiet() const noexcept { return !timer_.pending() && probes_.empty() && stragglers_.empty(); }

 private:
  class Probe;
  class Straggler;

  void on_timer(engine::Status status);
  void send_probes();
  void ended(Probe& probe);
  void ended(Straggler& straggler);
  void arm_timer();
  void tell_if_quiet() noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  UpstreamWatch* watch_ = nullptr;
  std::vector<std::shared_ptr<UpstreamState>> states_;
  std::vector<std::unique_ptr<Probe>> probes_;
  std::vector<std::unique_ptr<Straggler>> stragglers_;
  engine::Timer timer_;
  bool stopped_ = false;
  engine::Operation* whom_to_tell_ = nullptr;  // behind `stop`
};

}  // namespace stile::route
