// Members with latencies of their own that die and come back, requests that try one after another, in simulated time:
// how soon the group notices, and what requests pay for it. The figures are printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "route/upstream_group.h"

namespace stile::route {
namespace {

using namespace std::chrono_literals;

/// A member as it is, whatever the group thinks of it.
struct Server {
  Duration latency = 10ms;
  bool is_alive = true;
  Duration failing_takes = 1ms;  // refused at once, or silent until the caller's patience ends
};

struct Tally {
  int requests = 0;
  int served = 0;
  int lost = 0;     // while one server lived
  int detours = 0;  // attempts that failed, of requests
  int falls = 0;
  int returns = 0;
  Duration waited_max{};
  std::vector<int> by_member;
};

class Simulation {
 public:
  Simulation(Pick pick, std::vector<Server> servers, const HealthSettings& settings = {})
      : servers_(std::move(servers)), group_(pick, identities(servers_.size()), settings, now_) {
    tally_.by_member.resize(servers_.size());
    if (settings.probe_every > 0s) {
      look_for_probes();
    }
  }

  Server& server(std::size_t member) { return servers_[member]; }
  UpstreamGroup& group() { return group_; }
  [[nodiscard]] Instant now() const { return now_; }
  MemberState state(std::size_t member) { return group_.figures(member, now_).state; }

  /// So many requests, one every `every`, then a tally of what ended meanwhile.
  Tally run(int requests, Duration every) {
    for (int request = 0; request < requests; ++request) {
      ++tally_.requests;
      const std::uint64_t key = random_();
      attempt(group_.order(now_, key, random_()), 0, now_);
      pass(every);
    }
    return take();
  }
  Tally take() {
    Tally result = std::move(tally_);
    tally_ = {};
    tally_.by_member.resize(servers_.size());
    return result;
  }
  /// Time passes without requests.
  void pass(Duration time) {
    const Instant until = now_ + time;
    while (!events_.empty() && events_.top().at <= until) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      event.run();
    }
    now_ = until;
  }

 private:
  struct Event {
    Instant at;
    std::uint64_t number;
    std::function<void()> run;
    bool operator<(const Event& other) const { return std::tie(at, number) > std::tie(other.at, other.number); }
  };

  static std::vector<std::uint64_t> identities(std::size_t count) {
    std::vector<std::uint64_t> result;
    result.reserve(count);
    for (std::size_t member = 0; member < count; ++member) {
      result.push_back(group_hash(std::to_string(member)));
    }
    return result;
  }
  void after(Duration time, std::function<void()> run) { events_.emplace(now_ + time, ++number_, std::move(run)); }

  void attempt(const Order& order, std::size_t index, Instant asked) {
    if (index == order.size()) {
      const bool lives = std::ranges::any_of(servers_, &Server::is_alive);
      tally_.lost += lives ? 1 : 0;
      return;
    }
    const std::size_t member = order[index];
    const Attempt begun = group_.begin(member, now_);
    if (!servers_[member].is_alive) {
      after(servers_[member].failing_takes, [this, order, index, asked, begun] {
        ++tally_.detours;
        tally_.falls += group_.failed(begun, now_) ? 1 : 0;
        attempt(order, index + 1, asked);
      });
      return;
    }
    const Duration latency = jittered(servers_[member].latency);
    after(latency, [this, member, asked, begun, latency] {
      tally_.returns += group_.succeeded(begun, now_, latency) ? 1 : 0;
      ++tally_.served;
      ++tally_.by_member[member];
      tally_.waited_max = std::max(tally_.waited_max, now_ - asked);
    });
  }
  Duration jittered(Duration latency) { return latency + latency / 100 * (random_() % 20); }

  void look_for_probes() {
    while (const auto due = group_.probe_due(now_)) {
      const Attempt probe = group_.begin_probe(*due, now_);
      const Server& server = servers_[*due];
      const Duration latency = jittered(server.latency);
      after(server.is_alive ? latency : server.failing_takes, [this, probe, latency, lived = server.is_alive] {
        if (lived) {
          tally_.returns += group_.succeeded(probe, now_, latency) ? 1 : 0;
        } else {
          tally_.falls += group_.failed(probe, now_) ? 1 : 0;
        }
      });
    }
    after(100ms, [this] { look_for_probes(); });
  }

  Instant now_ = Instant{} + 1h;
  std::mt19937_64 random_{1928};
  std::vector<Server> servers_;
  UpstreamGroup group_;
  std::priority_queue<Event> events_;
  std::uint64_t number_ = 0;
  Tally tally_;
};

/// Of how many requests, at `every`, a member serves nine in ten of twenty.
int requests_until(Simulation& simulation, std::size_t member, Duration every) {
  for (int requests = 20; requests <= 5000; requests += 20) {
    if (simulation.run(20, every).by_member[member] >= 18) {
      return requests;
    }
  }
  return 5000;
}

TEST(UpstreamGroupSim, finds_the_fastest_member_and_follows_when_it_changes) {
  Simulation simulation(Pick::least_latency, {{.latency = 80ms}, {.latency = 20ms}, {.latency = 200ms}});
  const int found = requests_until(simulation, 1, 50ms);
  EXPECT_LE(found, 40);
  simulation.server(1).latency = 500ms;
  const int left = requests_until(simulation, 0, 50ms);
  EXPECT_LE(left, 60);
  simulation.server(1).latency = 20ms;
  const int returned = requests_until(simulation, 1, 50ms);
  EXPECT_LE(returned, 1000);
  simulation.server(2).latency = 5ms;
  const int discovered = requests_until(simulation, 2, 50ms);
  EXPECT_LE(discovered, 1000);
  const Tally steady = simulation.run(2000, 50ms);
  EXPECT_GE(steady.by_member[2], 1860) << "looking again costs less than 7 %";
  GTEST_LOG_(INFO) << "least-latency, 20 requests/s: fastest found within " << found << " requests, left within "
                   << left << " when it turned slow, back within " << returned
                   << " when it recovered; a member that turned "
                   << "fast was discovered within " << discovered << "; looks elsewhere: " << 2000 - steady.by_member[2]
                   << " of 2000";
}

TEST(UpstreamGroupSim, lets_few_requests_look_again_where_there_are_few) {
  Simulation simulation(Pick::least_latency, {{.latency = 20ms}, {.latency = 200ms}});
  simulation.run(20, 10s);
  const Tally slow = simulation.run(2000, 10s);
  EXPECT_GE(slow.by_member[0], 1800);
  EXPECT_GT(slow.by_member[1], 0);
}

struct Outage {
  const char* name;
  HealthSettings settings;
  Duration failing_takes;
};

/// One of three members dies for two minutes and comes back, ten times; 20 requests a second.
void live_through(Pick pick, const Outage& outage) {
  Simulation simulation(pick, std::vector<Server>(3, {.failing_takes = outage.failing_takes}), outage.settings);
  Tally all;
  Duration detected_max{};
  Duration recovered_max{};
  for (int time = 0; time < 10; ++time) {
    simulation.run(20 * 400, 50ms);
    const std::size_t member = static_cast<std::size_t>(time) % 3;
    EXPECT_EQ(simulation.state(member), MemberState::up);
    const auto watch = [&](int seconds, bool alive, Duration& longest) {
      simulation.server(member).is_alive = alive;
      const Instant changed = simulation.now();
      bool noticed = false;
      for (int step = 0; step < seconds * 20; ++step) {
        const Tally tally = simulation.run(1, 50ms);
        all.requests += tally.requests;
        all.lost += tally.lost;
        all.detours += tally.detours;
        all.falls += tally.falls;
        all.returns += tally.returns;
        all.waited_max = std::max(all.waited_max, tally.waited_max);
        const MemberState state = simulation.state(member);
        if (!noticed && alive == (state == MemberState::up || state == MemberState::slow_start)) {
          noticed = true;
          longest = std::max(longest, simulation.now() - changed);
        }
      }
      EXPECT_TRUE(noticed);
    };
    watch(120, false, detected_max);
    watch(200, true, recovered_max);
  }
  EXPECT_EQ(all.falls, 10);
  EXPECT_EQ(all.returns, 10);
  EXPECT_EQ(all.lost, 0);
  const auto milliseconds = [](Duration time) { return time / 1ms; };
  GTEST_LOG_(INFO) << outage.name << ": 10 outages, " << all.falls << " detected (within " << milliseconds(detected_max)
                   << " ms), " << all.returns << " recoveries (within " << milliseconds(recovered_max) << " ms); of "
                   << all.requests << " requests " << all.lost << " lost, " << all.detours
                   << " failed attempts, the longest wait " << milliseconds(all.waited_max) << " ms";
}

TEST(UpstreamGroupSim, loses_no_request_to_a_member_that_dies_and_comes_back) {
  live_through(Pick::round_robin, {"round-robin, refusing", {}, 1ms});
  live_through(Pick::round_robin, {"round-robin, silent for 10 s", {}, 10s});
  live_through(Pick::round_robin, {"round-robin, silent, probed every 10 s", {.probe_every = 10s}, 10s});
  live_through(Pick::hash_user, {"hash-user, silent", {}, 10s});
  live_through(Pick::least_sessions, {"least-sessions, refusing", {}, 1ms});
  live_through(Pick::first_alive, {"first-alive, silent, probed every 5 s", {.probe_every = 5s}, 10s});
}

TEST(UpstreamGroupSim, notices_an_idle_members_end_by_probes) {
  Simulation simulation(Pick::first_alive, std::vector<Server>(2), {.probe_every = 10s});
  simulation.server(1).is_alive = false;
  simulation.pass(20s);
  EXPECT_EQ(simulation.state(1), MemberState::down);
  simulation.server(1).is_alive = true;
  simulation.pass(11s);
  EXPECT_EQ(simulation.state(1), MemberState::slow_start);
  const Tally tally = simulation.take();
  EXPECT_EQ(tally.falls, 1);
  EXPECT_EQ(tally.returns, 1);
  EXPECT_EQ(tally.requests, 0);
}

TEST(UpstreamGroupSim, finds_the_one_that_lives_where_all_were_down) {
  Simulation simulation(Pick::round_robin, std::vector<Server>(4, {.failing_takes = 2s}));
  for (std::size_t member = 0; member < 4; ++member) {
    simulation.server(member).is_alive = false;
  }
  Tally dark = simulation.run(600, 100ms);
  simulation.pass(10s);
  dark.served += simulation.take().served;
  EXPECT_EQ(dark.falls, 4);
  EXPECT_EQ(dark.served, 0);
  simulation.server(2).is_alive = true;
  const Tally tally = simulation.run(100, 100ms);
  EXPECT_EQ(tally.lost, 0);
  EXPECT_EQ(tally.returns, 1);
  EXPECT_GE(tally.served, 90);
}

}  // namespace
}  // namespace stile::route
