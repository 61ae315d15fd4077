#include "route/upstreams.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "base/secret.h"

namespace stile::route {
namespace {

std::vector<std::uint64_t> identities_of(const UpstreamPlan& plan) {
  std::vector<std::uint64_t> identities;
  for (const Hop& hop : plan.hops) identities.push_back(group_hash(hop.url.to_string()));
  return identities;
}

HealthSettings health_of(const config::Upstream& settings) {
  return {.failures_to_down = static_cast<int>(settings.failures),
          .down_first = settings.retry,
          .slow_start = settings.slow_start,
          .probe_every = settings.probe};
}

}  // namespace

UpstreamPlan::~UpstreamPlan() {
  for (Hop& hop : hops) {
    if (std::optional<std::string>& password = hop.url.password) {
      wipe({reinterpret_cast<std::uint8_t*>(password->data()), password->size()});
    }
  }
}

UpstreamState::UpstreamState(std::shared_ptr<const UpstreamPlan> of, Instant now, UpstreamWatch* watch)
    : plan(std::move(of)),
      group(plan->settings.pick, identities_of(*plan), health_of(plan->settings), now),
      watch_(watch),
      failures_(group.size()),
      down_since_(group.size()) {}

void UpstreamState::succeeded(const Attempt& attempt, Instant now, Duration latency) noexcept {
  if (!group.succeeded(attempt, now, latency)) return;
  down_since_[attempt.member].reset();
  if (watch_ != nullptr) watch_->came_back(*plan, attempt.member, now);
}

void UpstreamState::failed(const Attempt& attempt, Instant now, const Trouble& trouble, std::size_t hop) {
  failures_[attempt.member] = Failure{.trouble = trouble, .hop = hop, .at = now};
  if (!group.failed(attempt, now)) return;
  down_since_[attempt.member] = now;
  if (watch_ != nullptr) watch_->went_down(*plan, attempt.member, now, cause_text(trouble, hop));
}

/// One server is met, without a session.
class Upstreams::Probe {
 public:
  Probe(Upstreams& owner, std::shared_ptr<UpstreamState> state, std::size_t member)
      : owner_(owner),
        state_(std::move(state)),
        plan_(state_->plan),
        attempt_(state_->group.begin_probe(member, owner.engine_.now())),
        began_(owner.engine_.now()),
        chain_(owner.engine_, owner.resolver_, plan_->hops[member], ask(),
               {.dial = {.per_address = plan_->settings.timeout, .total = plan_->settings.timeout},
                .greeting = plan_->settings.timeout}) {
    chain_.bind<&Probe::on_met>(this);
    chain_.start();
  }
  void cancel() noexcept { chain_.cancel(); }

 private:
  static Ask ask() noexcept {
    Ask ask;
    ask.target = Target{Address::v4(0, 0, 0, 0), 0};
    ask.only_meets = true;
    return ask;
  }

  void on_met(engine::Status) {
    const Trouble& trouble = chain_.trouble();
    const Instant now = owner_.engine_.now();
    if (trouble.obstacle == Obstacle::none) {
      state_->succeeded(attempt_, now, now - began_);
    } else if (blamed_hop(trouble, 1)) {
      state_->failed(attempt_, now, trouble, 0);
    } else {
      state_->group.abandoned(attempt_, now);
    }
    owner_.ended(*this);
  }

  Upstreams& owner_;
  std::shared_ptr<UpstreamState> state_;
  std::shared_ptr<const UpstreamPlan> plan_;
  Attempt attempt_;
  Instant began_;
  Chain chain_;
};

/// A dial that was overtaken, until its own end.
class Upstreams::Straggler {
 public:
  Straggler(Upstreams& owner, Overtaken overtaken) : owner_(owner), dial_(std::move(overtaken)) {
    dial_.approach->bind<&Straggler::on_met>(this);
  }
  void cancel() noexcept { dial_.approach->cancel(); }
  [[nodiscard]] bool is_of(const UpstreamState& state, std::size_t member) const noexcept {
    return dial_.state.get() == &state && dial_.attempt.member == member;
  }

 private:
  void on_met(engine::Status) {
    const Trouble& trouble = dial_.approach->trouble();
    const Instant now = owner_.engine_.now();
    if (trouble.obstacle == Obstacle::none) {
      dial_.state->group.overtaken(dial_.attempt, now, now - dial_.began);
    } else if (blamed_hop(trouble, 1)) {
      dial_.state->failed(dial_.attempt, now, trouble, 0);
    } else {
      dial_.state->group.withdrawn(dial_.attempt);
    }
    owner_.ended(*this);
  }

  Upstreams& owner_;
  Overtaken dial_;
};

Upstreams::Upstreams(engine::Engine& engine, resolve::Resolver& resolver) : engine_(engine), resolver_(resolver) {
  timer_.bind<&Upstreams::on_timer>(this);
}

Upstreams::~Upstreams() {
  STILE_ASSERT(quiet());
}

void Upstreams::use(const UpstreamPlans& plans) {
  std::vector<std::shared_ptr<UpstreamState>> states;
  for (const auto& plan : plans) {
    auto state = find(plan->settings.name);
    if (state != nullptr && state->plan->settings == plan->settings) {
      state->plan = plan;  // its files may say something else
    } else {
      state = std::make_shared<UpstreamState>(plan, engine_.now(), watch_);
    }
    states.push_back(std::move(state));
  }
  states_ = std::move(states);
  arm_timer();
}

std::shared_ptr<UpstreamState> Upstreams::find(std::string_view name) const noexcept {
  const auto found =
      std::ranges::find_if(states_, [name](const auto& state) { return state->plan->settings.name == name; });
  return found == states_.end() ? nullptr : *found;
}

std::vector<ServerFigures> Upstreams::figures() const {
  std::vector<ServerFigures> figures;
  const Instant now = engine_.now();
  for (const auto& state : states_) {
    for (std::size_t i = 0; i < state->group.size(); ++i) {
      ServerFigures one{.upstream = state->plan->settings.name,
                        .server = state->plan->hops[i].url.to_string(),
                        .figures = state->group.figures(i, now),
                        .down = {},
                        .last_failure = {}};
      if (const auto& since = state->down_since(i)) one.down = now - *since;
      if (const auto& failure = state->last_failure(i)) {
        one.last_failure = ServerFigures::Failure{.reason = cause_of(failure->trouble),
                                                  .why = cause_text(failure->trouble, failure->hop),
                                                  .ago = now - failure->at};
      }
      figures.push_back(std::move(one));
    }
  }
  return figures;
}

// ── probes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

void Upstreams::arm_timer() {
  std::optional<Instant> next;
  for (const auto& state : states_) {
    if (const auto due = state->group.next_probe()) next = std::min(next.value_or(*due), *due);
  }
  if (!next || stopped_) return engine_.cancel(timer_);
  engine_.start_timer(timer_, *next);
}

void Upstreams::on_timer(engine::Status status) {
  if (stopped_) return tell_if_quiet();
  if (status == engine::Status::canceled) return;
  send_probes();
  arm_timer();
}

void Upstreams::send_probes() {
  for (const auto& state : states_) {
    while (const auto due = state->group.probe_due(engine_.now())) {
      probes_.push_back(std::make_unique<Probe>(*this, state, *due));
    }
  }
}

void Upstreams::ended(Probe& probe) {
  std::erase_if(probes_, [&probe](const auto& one) { return one.get() == &probe; });
  arm_timer();
  tell_if_quiet();
}

// ── dials that were overtaken ───────────────────────────────────────────────────────────────────────────────────────

void Upstreams::let_go_on(Overtaken overtaken) {
  const auto same = [&](const auto& one) { return one->is_of(*overtaken.state, overtaken.attempt.member); };
  const auto waiting = static_cast<std::size_t>(std::ranges::count_if(stragglers_, same));
  stragglers_.push_back(std::make_unique<Straggler>(*this, std::move(overtaken)));
  if (stopped_ || waiting >= limits::upstream_stragglers_max) stragglers_.back()->cancel();
}

void Upstreams::ended(Straggler& straggler) {
  std::erase_if(stragglers_, [&straggler](const auto& one) { return one.get() == &straggler; });
  tell_if_quiet();
}

void Upstreams::stop(engine::Operation* quiet) noexcept {
  stopped_ = true;
  whom_to_tell_ = quiet;
  engine_.cancel(timer_);
  for (const auto& probe : probes_) probe->cancel();
  for (const auto& straggler : stragglers_) straggler->cancel();
  tell_if_quiet();
}

void Upstreams::tell_if_quiet() noexcept {
  if (whom_to_tell_ != nullptr && quiet() && !whom_to_tell_->pending()) engine_.post(*whom_to_tell_);
}

}  // namespace stile::route
