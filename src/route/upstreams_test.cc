// What a worker remembers of its servers beside their health, and whom it tells. Ways and probes: way_test.cc.
#include "route/upstreams.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "route/proxy_for_tests.h"

namespace stile::route {
namespace {

using namespace std::chrono_literals;

constexpr Trouble dead{.obstacle = Obstacle::dial, .reason = Reason::dial_refused};
constexpr Trouble slow{.obstacle = Obstacle::dial, .reason = Reason::dial_timeout};

std::shared_ptr<const UpstreamPlan> plan_of_two() {
  auto plan = std::make_shared<UpstreamPlan>();
  plan->settings.name = "exit";
  plan->settings.failures = 2;
  plan->settings.slow_start = Duration::zero();
  for (const char* const url : {"socks5h://127.0.0.1", "socks5h://127.0.0.2"}) {
    plan->hops.push_back(proxy_at(url));
    plan->settings.servers.push_back(plan->hops.back().url);
  }
  return plan;
}

class Told final : public UpstreamWatch {
 public:
  void went_down(const UpstreamPlan& plan, std::size_t server, Instant now, std::string why) noexcept override {
    lines.push_back(plan.settings.name + " " + std::to_string(server) + " down at " + seconds(now) + ": " + why);
  }
  void came_back(const UpstreamPlan& plan, std::size_t server, Instant now) noexcept override {
    lines.push_back(plan.settings.name + " " + std::to_string(server) + " back at " + seconds(now));
  }
  std::vector<std::string> lines;

 private:
  static std::string seconds(Instant now) {
    return std::to_string(std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count());
  }
};

TEST(UpstreamState, TellsOfEachFallAndEachReturnOnce) {
  Told told;
  UpstreamState state(plan_of_two(), Instant(0s), &told);
  Instant now(1s);
  const auto fail = [&](const Trouble& trouble) { state.failed(state.group.begin(1, now), now, trouble, 0); };
  fail(slow);
  EXPECT_TRUE(told.lines.empty()) << "one failure is none yet";
  EXPECT_FALSE(state.down_since(1));
  fail(dead);
  fail(dead);
  EXPECT_EQ(told.lines, std::vector<std::string>{"exit 1 down at 1: nobody listens there"});
  EXPECT_EQ(state.down_since(1), Instant(1s));
  now = Instant(100s);
  fail(slow);  // a trial
  EXPECT_EQ(state.down_since(1), Instant(1s)) << "it was down all the time";
  now = Instant(200s);
  state.succeeded(state.group.begin(1, now), now, 5ms);
  state.succeeded(state.group.begin(1, now), now, 5ms);
  EXPECT_EQ(told.lines.size(), 2U);
  EXPECT_EQ(told.lines.back(), "exit 1 back at 200");
  EXPECT_FALSE(state.down_since(1));
  ASSERT_TRUE(state.last_failure(1).has_value()) << "remembered when it is over";
  EXPECT_EQ(state.last_failure(1)->trouble.reason, Reason::dial_timeout);
  EXPECT_EQ(state.last_failure(1)->at, Instant(100s));
  EXPECT_FALSE(state.last_failure(0));
}

TEST(UpstreamState, NeedsNobodyToTell) {
  UpstreamState state(plan_of_two(), Instant(0s), nullptr);
  for (int i = 0; i < 2; ++i) state.failed(state.group.begin(0, Instant(1s)), Instant(1s), dead, 0);
  EXPECT_EQ(state.down_since(0), Instant(1s));
  state.succeeded(state.group.begin(0, Instant(2s)), Instant(2s), 1ms);
  EXPECT_FALSE(state.down_since(0));
}

TEST(Upstreams, FiguresSayForHowLongAndWhy) {
  ClientRig rig;
  Told told;
  {
    Upstreams upstreams(rig.engine, rig.resolver);
    upstreams.watch(&told);
    upstreams.use({plan_of_two()});
    const auto state = upstreams.find("exit");
    const Instant then = rig.engine.now();
    for (int i = 0; i < 2; ++i) state->failed(state->group.begin(0, then), then, dead, 0);
    (void)rig.engine.run_for(3s);
    const std::vector<ServerFigures> figures = upstreams.figures();
    ASSERT_EQ(figures.size(), 2U);
    EXPECT_EQ(figures[0].upstream, "exit");
    EXPECT_EQ(figures[0].server, "socks5h://127.0.0.1:1080");
    EXPECT_EQ(figures[0].figures.state, MemberState::down);
    EXPECT_EQ(figures[0].down, Duration(3s));
    ASSERT_TRUE(figures[0].last_failure.has_value());
    EXPECT_EQ(figures[0].last_failure->reason, Reason::dial_refused);
    EXPECT_EQ(figures[0].last_failure->why, "nobody listens there");
    EXPECT_EQ(figures[0].last_failure->ago, Duration(3s));
    EXPECT_FALSE(figures[1].down || figures[1].last_failure);
    upstreams.stop();
  }
  EXPECT_EQ(told.lines.size(), 1U);
}

}  // namespace
}  // namespace stile::route
