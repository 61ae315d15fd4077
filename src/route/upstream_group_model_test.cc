// Random histories, each step held equal to a naive model of a member's health: states that change as time passes, a
// list of all attempts, and every attempt that a change overtakes marked as such.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <list>
#include <random>
#include <vector>

#include "route/upstream_group.h"

namespace stile::route {
namespace {

using namespace std::chrono_literals;

struct ModelAttempt {
  Attempt attempt;
  bool is_overtaken = false;
  bool was_half_open = false;
  bool is_trial = false;
};

class ModelMember {
 public:
  ModelMember(const HealthSettings& settings, Instant now) : settings_(settings), now_(now), changed_(now) {}

  void advance(Instant now) {
    now_ = now;
    if (state_ == MemberState::down && now_ >= next_) {
      state_ = MemberState::half_open;
    }
    if (state_ == MemberState::slow_start && now_ >= next_) {
      state_ = MemberState::up;
    }
  }
  ModelAttempt& begin(const Attempt& attempt) {
    const bool was_half_open = state_ == MemberState::half_open;
    return attempts.emplace_back(attempt, false, was_half_open, was_half_open && !has_trial());
  }
  bool succeed(std::list<ModelAttempt>::iterator which) {
    const ModelAttempt ended = *which;
    attempts.erase(which);
    if (ended.is_overtaken) {
      return false;
    }
    in_a_row_ = 0;
    if (is_alive()) {
      return false;
    }
    change(MemberState::slow_start, settings_.slow_start);
    return true;
  }
  bool fail(std::list<ModelAttempt>::iterator which) {
    const ModelAttempt ended = *which;
    attempts.erase(which);
    if (ended.is_overtaken) {
      return false;
    }
    ++in_a_row_;
    if (is_alive()) {
      if (in_a_row_ < settings_.failures_to_down) {
        return false;
      }
      const bool stood = now_ - changed_ >= std::max(settings_.slow_start * (fell_ ? 1 : 0), down_);
      go_down(fell_ && !stood ? std::min(2 * down_, settings_.down_max) : settings_.down_first);
      return true;
    }
    if (ended.was_half_open) {
      go_down(std::min(2 * down_, settings_.down_max));
    }
    return false;
  }
  void abandon(std::list<ModelAttempt>::iterator which) {
    const ModelAttempt ended = *which;
    attempts.erase(which);
    if (!ended.is_overtaken && ended.is_trial) {
      state_ = MemberState::down;
      next_ = now_ + settings_.down_first;
    }
  }
  [[nodiscard]] bool is_alive() const { return state_ == MemberState::up || state_ == MemberState::slow_start; }
  [[nodiscard]] bool has_trial() const {
    return std::ranges::any_of(attempts, [](const auto& each) { return each.is_trial && !each.is_overtaken; });
  }
  [[nodiscard]] bool has_probe() const {
    return std::ranges::any_of(attempts, [](const auto& each) { return each.attempt.is_probe; });
  }
  [[nodiscard]] MemberState state() const { return state_; }
  [[nodiscard]] int in_a_row() const { return in_a_row_; }
  [[nodiscard]] Duration down() const { return down_; }

  std::list<ModelAttempt> attempts;

 private:
  void go_down(Duration time) {
    down_ = time;
    fell_ = true;
    change(MemberState::down, time);
  }
  void change(MemberState to, Duration time) {
    state_ = to;
    changed_ = now_;
    next_ = now_ + time;
    for (ModelAttempt& each : attempts) {
      each.is_overtaken = true;
    }
    advance(now_);
  }

  HealthSettings settings_;
  Instant now_;
  Instant changed_;
  Instant next_{};
  MemberState state_ = MemberState::up;
  Duration down_{};
  int in_a_row_ = 0;
  bool fell_ = false;
};

class History {
 public:
  History(Pick pick, std::uint64_t seed)
      : random_(seed), settings_(any_settings()), group_(pick, identities(1 + below(6)), settings_, now_) {
    for (std::size_t member = 0; member < group_.size(); ++member) {
      model_.emplace_back(settings_, now_);
    }
  }

  void step() {
    now_ += 100ms * (below(4) == 0 ? 10 * below(8) : below(3));
    for (ModelMember& member : model_) {
      member.advance(now_);
    }
    switch (below(6)) {
      case 0:
      case 1:
        request();
        break;
      case 2:
        probe();
        break;
      default:
        result();
        break;
    }
    for (std::size_t member = 0; member < model_.size(); ++member) {
      compare(member);
    }
  }

  [[nodiscard]] bool has_failed() const { return testing::Test::HasFailure(); }
  std::array<int, 4> states_seen{};
  int trials_seen = 0;

 private:
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  HealthSettings any_settings() {
    HealthSettings settings;
    settings.failures_to_down = 1 + static_cast<int>(below(4));
    settings.slow_start = 10s * below(3);
    settings.probe_every = below(2) == 0 ? 0s : 7s;
    settings.down_first = below(2) == 0 ? 5s : 2s;
    settings.down_max = settings.down_first * (1 + below(9));
    return settings;
  }
  std::vector<std::uint64_t> identities(std::size_t count) {
    std::vector<std::uint64_t> result(count);
    std::ranges::generate(result, random_);
    return result;
  }

  void request() {
    const bool has_trial = std::ranges::any_of(model_, &ModelMember::has_trial);
    const std::uint64_t key = random_();
    const Order order = group_.order(now_, key, random_());
    check(order, has_trial);
    trials_seen += order.trial ? 1 : 0;
    // Some requests never come to an attempt.
    if (below(8) != 0) {
      begin(below(4) == 0 ? order[below(order.size())] : order[0]);
    }
  }

  void check(const Order& order, bool has_trial) {
    ASSERT_EQ(order.size(), model_.size());
    std::vector<bool> seen(model_.size());
    for (const std::uint8_t member : order) {
      ASSERT_LT(member, model_.size());
      EXPECT_FALSE(seen[member]) << "every member once";
      seen[member] = true;
    }
    EXPECT_EQ(order.alive, std::ranges::count_if(model_, &ModelMember::is_alive));
    std::size_t at = 0;
    if (order.trial) {
      EXPECT_FALSE(has_trial) << "one trial at a time";
      EXPECT_EQ(settings_.probe_every, 0s);
      EXPECT_GT(order.alive, 0) << "somebody catches the request";
      EXPECT_EQ(model_[order[at++]].state(), MemberState::half_open);
    }
    for (const std::size_t end = at + order.alive; at < end; ++at) {
      EXPECT_TRUE(model_[order[at]].is_alive()) << "alive ones first";
    }
    for (bool is_down = false; at < order.size(); ++at) {
      EXPECT_TRUE(!is_down || model_[order[at]].state() == MemberState::down) << "half-open ones before those down";
      is_down = model_[order[at]].state() == MemberState::down;
    }
  }

  void begin(std::size_t member) {
    const Attempt attempt = group_.begin(member, now_);
    EXPECT_EQ(model_[member].begin(attempt).is_trial, attempt.is_trial);
  }

  void probe() {
    const auto next = group_.next_probe();
    const auto due = group_.probe_due(now_);
    EXPECT_EQ(due.has_value(), next.has_value() && *next <= now_);
    if (due) {
      EXPECT_FALSE(model_[*due].has_probe());
      const Attempt attempt = group_.begin_probe(*due, now_);
      EXPECT_EQ(model_[*due].begin(attempt).is_trial, attempt.is_trial);
    }
  }

  void result() {
    const std::size_t index = below(model_.size());
    ModelMember& member = model_[index];
    if (member.attempts.empty()) {
      return;
    }
    const auto which = std::next(member.attempts.begin(), static_cast<std::ptrdiff_t>(below(member.attempts.size())));
    const Attempt attempt = which->attempt;
    // Members have good and bad times, so that every state is reached.
    const bool is_bad = (now_.time_since_epoch() / 100s + static_cast<std::int64_t>(index)) % 2 == 0;
    const std::uint64_t what = below(10);
    if (what == 0) {
      group_.abandoned(attempt, now_);
      member.abandon(which);
    } else if (is_bad == (what < 9)) {
      EXPECT_EQ(group_.failed(attempt, now_), member.fail(which));
    } else {
      EXPECT_EQ(group_.succeeded(attempt, now_, 1ms * below(1000)), member.succeed(which));
    }
  }

  void compare(std::size_t index) {
    const auto figures = group_.figures(index, now_);
    const ModelMember& member = model_[index];
    EXPECT_EQ(figures.state, member.state());
    EXPECT_EQ(figures.consecutive_failures, member.in_a_row());
    EXPECT_EQ(figures.under_way, member.attempts.size());
    EXPECT_EQ(figures.down_for, member.down());
    EXPECT_LE(figures.down_for, settings_.down_max);
    EXPECT_LE(figures.since, now_);
    ++states_seen[static_cast<std::size_t>(figures.state)];
  }

  std::mt19937_64 random_;
  HealthSettings settings_;
  Instant now_ = Instant{} + 1h;
  UpstreamGroup group_;
  std::vector<ModelMember> model_;
};

TEST(UpstreamGroupModel, agrees_under_random_histories) {
  std::array<int, 4> states{};
  int trials = 0;
  for (std::uint64_t seed = 0; seed < 350; ++seed) {
    History history(static_cast<Pick>(seed % 7), seed);
    for (int step = 0; step < 600; ++step) {
      history.step();
      ASSERT_FALSE(history.has_failed()) << "seed " << seed << ", step " << step;
    }
    std::ranges::transform(states, history.states_seen, states.begin(), std::plus());
    trials += history.trials_seen;
  }
  for (const int seen : states) {
    EXPECT_GT(seen, 10'000) << "every state is visited often";
  }
  EXPECT_GT(trials, 1'000);
}

}  // namespace
}  // namespace stile::route
