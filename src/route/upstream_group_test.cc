#include "route/upstream_group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace stile::route {
namespace {

using namespace std::chrono_literals;

constexpr Pick every_pick[] = {Pick::first_alive, Pick::round_robin, Pick::least_latency, Pick::least_sessions,
                               Pick::hash_source, Pick::hash_user,   Pick::hash_target};

std::vector<std::uint64_t> identities(std::size_t count) {
  std::vector<std::uint64_t> result;
  result.reserve(count);
  for (std::size_t index = 0; index < count; ++index) {
    result.push_back(group_hash("socks5h://exit" + std::to_string(index) + ".example:1080"));
  }
  return result;
}

/// A group with a clock and dice of its own.
class Rig {
 public:
  Rig(Pick pick, std::size_t members, const HealthSettings& settings = {})
      : group_(pick, identities(members), settings, now_) {}

  Order order(std::uint64_t key = 0) { return group_.order(now_, key, random_()); }
  std::size_t first(std::uint64_t key = 0) { return order(key)[0]; }
  bool succeed(std::size_t member, Duration latency = 10ms) {
    return group_.succeeded(group_.begin(member, now_), now_, latency);
  }
  bool fail(std::size_t member) { return group_.failed(group_.begin(member, now_), now_); }
  /// As many failures as take an alive member down, and no more.
  void take_down(std::size_t member) {
    for (int left = limits::upstream_failures_to_down; left > 0; --left) {
      EXPECT_EQ(fail(member), left == 1);
    }
  }
  /// Down, and back by a last resort's success.
  void bring_back(std::size_t member) {
    take_down(member);
    EXPECT_TRUE(succeed(member));
  }
  MemberState state(std::size_t member) { return group_.figures(member, now_).state; }
  UpstreamGroup::Figures figures(std::size_t member) { return group_.figures(member, now_); }
  /// How many of `requests` each member had first; each of them gets through.
  std::vector<int> shares(int requests) {
    std::vector<int> result(group_.size());
    for (int request = 0; request < requests; ++request) {
      const std::size_t member = first(random_());
      ++result[member];
      succeed(member, member == 0 ? 1ms : 20ms);
    }
    return result;
  }
  void wait(Duration time) { now_ += time; }
  [[nodiscard]] Instant now() const { return now_; }
  UpstreamGroup& group() { return group_; }

 private:
  Instant now_ = Instant{} + 1h;
  std::mt19937_64 random_{1080};
  UpstreamGroup group_;
};

TEST(UpstreamGroup, tries_the_members_in_their_order_where_the_first_alive_one_is_picked) {
  Rig rig(Pick::first_alive, 3);
  EXPECT_EQ(rig.first(), 0U);
  EXPECT_EQ(rig.first(), 0U);
  rig.take_down(0);
  const Order order = rig.order();
  EXPECT_EQ(std::vector<int>(order.begin(), order.end()), (std::vector{1, 2, 0}));
  EXPECT_EQ(order.alive, 2);
  EXPECT_FALSE(order.trial);
}

TEST(UpstreamGroup, takes_a_member_down_after_failures_in_a_row_alone) {
  Rig rig(Pick::first_alive, 2);
  for (int time = 0; time < 10; ++time) {
    EXPECT_FALSE(rig.fail(0));
    EXPECT_FALSE(rig.fail(0));
    EXPECT_FALSE(rig.succeed(0));
  }
  EXPECT_EQ(rig.state(0), MemberState::up);
  rig.take_down(0);
  EXPECT_EQ(rig.state(0), MemberState::down);
  EXPECT_EQ(rig.figures(0).falls, 1U);
  EXPECT_EQ(rig.figures(0).since, rig.now());
  EXPECT_EQ(rig.figures(0).successes, 10U);
  EXPECT_EQ(rig.figures(0).failures, 23U);
  EXPECT_EQ(rig.figures(0).attempts, 33U);
}

TEST(UpstreamGroup, tries_members_that_are_down_as_a_last_resort_and_not_the_same_one_first_each_time) {
  Rig rig(Pick::first_alive, 3);
  for (std::size_t member : {0U, 1U, 2U}) {
    rig.take_down(member);
  }
  std::map<std::size_t, int> firsts;
  for (int request = 0; request < 6; ++request) {
    const Order order = rig.order();
    EXPECT_EQ(order.size(), 3U);
    EXPECT_EQ(order.alive, 0);
    ++firsts[order[0]];
  }
  EXPECT_EQ(firsts, (std::map<std::size_t, int>{{0, 2}, {1, 2}, {2, 2}}));
  EXPECT_TRUE(rig.succeed(1)) << "who answers is back";
  EXPECT_EQ(rig.first(), 1U);
}

TEST(UpstreamGroup, lets_one_request_at_a_time_through_to_a_half_open_member) {
  Rig rig(Pick::round_robin, 3);
  rig.take_down(1);
  rig.wait(1s);
  rig.take_down(0);
  EXPECT_FALSE(rig.order().trial);
  rig.wait(limits::upstream_down_first);
  EXPECT_EQ(rig.state(0), MemberState::half_open);
  EXPECT_EQ(rig.figures(0).since, rig.now());
  const Order offered = rig.order();
  EXPECT_TRUE(offered.trial);
  EXPECT_EQ(offered[0], 1U) << "whose time has been over for longest";
  EXPECT_EQ(offered[1], 2U) << "the alive one catches the request";
  EXPECT_FALSE(rig.order().trial) << "offered, and not begun yet";
  const Attempt trial = rig.group().begin(1, rig.now());
  EXPECT_TRUE(trial.is_trial);
  rig.wait(1h);
  const Order other = rig.order();
  EXPECT_FALSE(other.trial);
  EXPECT_EQ(std::vector<int>(other.begin(), other.end()), (std::vector{2, 0, 1})) << "the tried one last";
  EXPECT_TRUE(rig.group().succeeded(trial, rig.now(), 1ms));
  EXPECT_EQ(rig.state(1), MemberState::slow_start);
  EXPECT_TRUE(rig.order().trial) << "then it is the other one's turn";
}

TEST(UpstreamGroup, offers_the_next_trial_as_soon_as_one_is_over) {
  Rig rig(Pick::round_robin, 3);
  rig.take_down(0);
  rig.take_down(1);
  rig.wait(limits::upstream_down_first);
  for (int trial = 0; trial < 2; ++trial) {
    const Order order = rig.order();
    ASSERT_TRUE(order.trial);
    EXPECT_FALSE(rig.fail(order[0]));
  }
  EXPECT_FALSE(rig.order().trial);
}

TEST(UpstreamGroup, offers_a_trial_that_nobody_began_again) {
  Rig rig(Pick::round_robin, 2);
  rig.take_down(0);
  rig.wait(limits::upstream_down_first);
  EXPECT_TRUE(rig.order().trial);
  rig.wait(limits::upstream_trial_offer - 1ns);
  EXPECT_FALSE(rig.order().trial);
  rig.wait(1ns);
  EXPECT_TRUE(rig.order().trial);
}

TEST(UpstreamGroup, tries_again_soon_after_a_trial_that_was_given_up) {
  Rig rig(Pick::round_robin, 2);
  rig.take_down(0);
  rig.wait(limits::upstream_down_first);
  ASSERT_TRUE(rig.order().trial);
  const Attempt trial = rig.group().begin(0, rig.now());
  rig.wait(3s);
  rig.group().abandoned(trial, rig.now());
  EXPECT_FALSE(rig.order().trial) << "the next one is not its victim at once";
  rig.wait(limits::upstream_down_first);
  ASSERT_TRUE(rig.order().trial);
  EXPECT_FALSE(rig.fail(0));
  EXPECT_EQ(rig.figures(0).down_for, 2 * limits::upstream_down_first) << "what was given up made nothing longer";
}

TEST(UpstreamGroup, waits_twice_as_long_for_each_further_trial_up_to_a_bound) {
  Rig rig(Pick::round_robin, 2);
  rig.take_down(0);
  Duration expected = limits::upstream_down_first;
  for (int trial = 0; trial < 100; ++trial) {
    EXPECT_EQ(rig.figures(0).down_for, expected);
    rig.wait(expected - 1ns);
    EXPECT_EQ(rig.state(0), MemberState::down);
    rig.wait(1ns);
    EXPECT_EQ(rig.state(0), MemberState::half_open);
    EXPECT_FALSE(rig.fail(0));
    expected = std::min<Duration>(2 * expected, limits::upstream_down_max);
  }
  EXPECT_EQ(expected, limits::upstream_down_max);
  EXPECT_EQ(rig.figures(0).falls, 1U) << "all the time it was down";
}

TEST(UpstreamGroup, remembers_the_time_of_a_member_that_does_not_stand_and_forgets_it_of_one_that_does) {
  Rig rig(Pick::round_robin, 2);
  rig.bring_back(0);
  rig.take_down(0);
  EXPECT_EQ(rig.figures(0).down_for, 2 * limits::upstream_down_first);
  EXPECT_TRUE(rig.succeed(0));
  rig.wait(limits::upstream_slow_start);
  rig.take_down(0);
  EXPECT_EQ(rig.figures(0).down_for, Duration(limits::upstream_down_first));
}

TEST(UpstreamGroup, lets_late_results_neither_lengthen_nor_end_a_fall) {
  Rig rig(Pick::round_robin, 2);
  UpstreamGroup& group = rig.group();
  std::vector<Attempt> early;
  early.reserve(10);
  for (int attempt = 0; attempt < 10; ++attempt) {
    early.push_back(group.begin(0, rig.now()));
  }
  rig.take_down(0);
  rig.wait(limits::upstream_down_first - 1s);
  EXPECT_FALSE(group.failed(early[0], rig.now()));
  EXPECT_FALSE(group.succeeded(early[1], rig.now(), 1s));
  EXPECT_EQ(rig.state(0), MemberState::down);
  const Attempt last_resort = group.begin(0, rig.now());
  rig.wait(1s);
  EXPECT_FALSE(group.failed(early[2], rig.now()));
  EXPECT_FALSE(group.failed(last_resort, rig.now())) << "begun when it was expected to fail";
  EXPECT_EQ(rig.state(0), MemberState::half_open);
  EXPECT_EQ(rig.figures(0).down_for, Duration(limits::upstream_down_first));
  // Last resorts at a half-open member: their failures are one piece of news, not two.
  const Attempt one = group.begin(0, rig.now());
  const Attempt other = group.begin(0, rig.now());
  EXPECT_TRUE(one.is_trial);
  EXPECT_FALSE(other.is_trial);
  group.failed(other, rig.now());
  group.failed(one, rig.now());
  EXPECT_EQ(rig.figures(0).down_for, 2 * limits::upstream_down_first);
}

TEST(UpstreamGroup, gives_each_member_its_turn) {
  for (const std::size_t members : {1U, 2U, 3U, 7U, 32U}) {
    Rig rig(Pick::round_robin, members);
    std::vector<int> count(members);
    for (int request = 0; request < 1000; ++request) {
      const Order order = rig.order();
      EXPECT_EQ(order[0], static_cast<std::size_t>(request) % members);
      EXPECT_EQ(order[members - 1], (static_cast<std::size_t>(request) + members - 1) % members);
      ++count[order[0]];
      const auto [least, most] = std::ranges::minmax(count);
      EXPECT_LE(most - least, 1);
    }
  }
}

TEST(UpstreamGroup, shares_the_turns_of_a_fallen_member_equally) {
  Rig rig(Pick::round_robin, 4, {.slow_start = 0s});
  rig.shares(6);
  rig.take_down(1);
  // From any point on, shares differ by one for what was under way when the member fell, and by one for the remainder.
  const auto down = rig.shares(299);
  EXPECT_EQ(down[1], 0);
  for (const std::size_t member : {0U, 2U, 3U}) {
    EXPECT_NEAR(down[member], 299 / 3.0, 2.0);
  }
  EXPECT_TRUE(rig.succeed(1));
  const auto up = rig.shares(401);
  for (const int share : up) {
    EXPECT_NEAR(share, 401 / 4.0, 2.0);
  }
}

TEST(UpstreamGroup, keeps_turns_fair_however_often_members_fall) {
  Rig rig(Pick::round_robin, 5, {.slow_start = 0s});
  std::mt19937 random(3);
  for (int time = 0; time < 2000; ++time) {
    // It falls as soon as it had its turn, which is the worst moment for the others' account.
    const std::size_t fallen = rig.first();
    rig.take_down(fallen);
    rig.shares(static_cast<int>(random() % 5));
    EXPECT_TRUE(rig.succeed(fallen));
  }
  for (const int share : rig.shares(1000)) {
    EXPECT_NEAR(share, 200, 5);
  }
}

TEST(UpstreamGroup, prefers_who_has_the_fewest_sessions_and_takes_turns_among_equals) {
  Rig rig(Pick::least_sessions, 4);
  std::map<std::size_t, int> firsts;
  rig.group().session_began(1);
  for (int request = 0; request < 300; ++request) {
    ++firsts[rig.first()];
  }
  EXPECT_EQ(firsts, (std::map<std::size_t, int>{{0, 100}, {2, 100}, {3, 100}}));
  for (const std::size_t member : {0U, 2U, 3U}) {
    rig.group().session_began(member);
  }
  rig.group().session_ended(2);
  EXPECT_EQ(rig.first(), 2U);
  const Attempt attempt = rig.group().begin(2, rig.now());
  const Attempt another = rig.group().begin(2, rig.now());
  EXPECT_NE(rig.first(), 2U) << "attempts are sessions to be";
  rig.group().abandoned(attempt, rig.now());
  rig.group().abandoned(another, rig.now());
  EXPECT_EQ(rig.first(), 2U);
  EXPECT_EQ(rig.figures(1).sessions, 1U);
}

TEST(UpstreamGroup, spreads_a_burst_over_members_of_which_nothing_is_known) {
  Rig rig(Pick::least_latency, 3);
  std::map<std::size_t, int> firsts;
  for (int request = 0; request < 3; ++request) {
    const std::size_t member = rig.first();
    ++firsts[member];
    (void)rig.group().begin(member, rig.now());
  }
  EXPECT_EQ(firsts.size(), 3U);
}

TEST(UpstreamGroup, counts_a_rise_of_latency_at_once_and_a_fall_of_it_soon) {
  Rig rig(Pick::least_latency, 2);
  EXPECT_FALSE(rig.figures(0).latency.has_value());
  rig.succeed(0, 10ms);
  rig.succeed(0, 200ms);
  EXPECT_EQ(rig.figures(0).latency, Duration(200ms));
  int successes = 0;
  while (*rig.figures(0).latency > 20ms) {
    rig.succeed(0, 10ms);
    ASSERT_LE(++successes, 11);
  }
  rig.succeed(0, 200ms);
  rig.wait(10 * limits::upstream_latency_memory);
  rig.succeed(0, 10ms);
  EXPECT_LT(*rig.figures(0).latency, 11ms) << "what is long ago counts little";
  rig.fail(0);
  EXPECT_GT(*rig.figures(0).latency, 20ms);
  rig.succeed(0, 1h);
  EXPECT_EQ(rig.figures(0).latency, Duration(limits::proxy_conversation));
  rig.fail(0);
  EXPECT_EQ(rig.figures(0).latency, Duration(limits::proxy_conversation));
}

TEST(UpstreamGroup, leaves_a_member_that_has_fallen_silent_before_it_fails) {
  Rig rig(Pick::least_latency, 2);
  rig.succeed(0, 10ms);
  rig.succeed(1, 50ms);
  const Attempt waiting = rig.group().begin(0, rig.now());
  EXPECT_EQ(rig.first(), 0U);
  rig.wait(51ms);
  EXPECT_EQ(rig.first(), 1U);
  rig.group().abandoned(waiting, rig.now());
  EXPECT_EQ(rig.figures(0).latency, Duration(51ms)) << "so long it would have taken at least";
}

TEST(UpstreamGroup, leaves_a_silent_member_to_itself_where_others_answer) {
  for (const Pick pick : every_pick) {
    Rig rig(pick, 3);
    UpstreamGroup& group = rig.group();
    const std::size_t silent = rig.first();
    const Attempt waiting = group.begin(silent, rig.now());
    rig.wait(limits::upstream_silence);
    for (int request = 0; request < 30; ++request) {
      const Order order = rig.order();
      EXPECT_EQ(order[2], silent);
      EXPECT_EQ(order.alive, 3);
    }
    std::vector<Attempt> others;
    others.reserve(3);
    for (std::size_t member = 0; member < 3; ++member) {
      others.push_back(group.begin(member, rig.now()));
    }
    rig.wait(limits::upstream_silence);
    std::vector<int> firsts(3);
    for (int request = 0; request < 30; ++request) {
      ++firsts[rig.first()];
    }
    EXPECT_TRUE(pick != Pick::round_robin || std::ranges::min(firsts) >= 9) << "where none answers, none is spared";
    group.succeeded(others[silent], rig.now(), 4s);
    rig.wait(1s);
    EXPECT_EQ(rig.first(), silent) << "the only one that did";
    group.abandoned(waiting, rig.now());
  }
}

TEST(UpstreamGroup, looks_again_at_who_was_slow_once) {
  Rig rig(Pick::least_latency, 2);
  rig.succeed(0, 10ms);
  rig.succeed(1, 1s);
  rig.wait(1ms);
  rig.succeed(0, 10ms);
  int looks = 0;
  for (int request = 0; request < 1000; ++request) {
    looks += rig.first() == 1 ? 1 : 0;
  }
  EXPECT_EQ(looks, 0) << "it was heard of";
  rig.wait(limits::upstream_latency_stale);
  rig.succeed(0, 10ms);
  for (int request = 0; request < 1600; ++request) {
    looks += rig.first() == 1 ? 1 : 0;
  }
  EXPECT_NEAR(looks, 1600.0 / limits::upstream_latency_looks, 40);
  const Attempt look = rig.group().begin(1, rig.now());
  for (int request = 0; request < 1000; ++request) {
    EXPECT_EQ(rig.first(), 0U) << "one look at a time";
  }
  rig.group().succeeded(look, rig.now(), 1ms);
}

/// Where each of many keys goes first.
std::vector<std::size_t> places(Rig& rig) {
  std::vector<std::size_t> result;
  result.reserve(20'000);
  for (std::uint64_t key = 0; key < 20'000; ++key) {
    result.push_back(rig.first(key));
  }
  return result;
}

TEST(UpstreamGroup, moves_a_fallen_members_keys_alone_and_moves_them_back) {
  for (const Pick pick : {Pick::hash_source, Pick::hash_user, Pick::hash_target}) {
    for (const std::size_t members : {2U, 3U, 10U, 32U}) {
      Rig rig(pick, members);
      const auto before = places(rig);
      std::vector<int> shares(members);
      for (const std::size_t place : before) {
        ++shares[place];
      }
      const double even = 20'000.0 / static_cast<double>(members);
      for (const int share : shares) {
        EXPECT_NEAR(share, even, 5 * std::sqrt(even));
      }
      const std::size_t fallen = members / 2;
      rig.take_down(fallen);
      const auto during = places(rig);
      std::vector<int> gained(members);
      for (std::size_t key = 0; key < before.size(); ++key) {
        if (before[key] == fallen) {
          ++gained[during[key]];
        } else {
          EXPECT_EQ(during[key], before[key]);
        }
      }
      EXPECT_EQ(gained[fallen], 0);
      const double each = static_cast<double>(shares[fallen]) / static_cast<double>(members - 1);
      for (std::size_t member = 0; member < members; ++member) {
        EXPECT_NEAR(gained[member], member == fallen ? 0 : each, 5 * std::sqrt(each)) << "all others share its keys";
      }
      EXPECT_TRUE(rig.succeed(fallen));
      rig.wait(limits::upstream_slow_start);
      EXPECT_EQ(places(rig), before);
    }
  }
}

TEST(UpstreamGroup, hashes_who_a_member_is_not_where_it_stands) {
  const auto all = identities(5);
  std::vector<std::uint64_t> without = all;
  without.erase(without.begin() + 1);
  std::ranges::reverse(without);
  UpstreamGroup before(Pick::hash_user, all, {}, Instant{});
  UpstreamGroup after(Pick::hash_user, without, {}, Instant{});
  for (std::uint64_t key = 0; key < 2'000; ++key) {
    const std::uint64_t was = all[before.order(Instant{}, key, 0)[0]];
    const std::uint64_t is = without[after.order(Instant{}, key, 0)[0]];
    EXPECT_TRUE(was == is || was == all[1]);
  }
}

TEST(UpstreamGroup, moves_each_key_back_once_in_a_slow_start) {
  Rig rig(Pick::hash_target, 4);
  const auto before = places(rig);
  rig.bring_back(2);
  std::vector<bool> is_back(before.size());
  for (int step = 0; step <= 10; ++step) {
    const auto during = places(rig);
    int own = 0;
    int back = 0;
    for (std::size_t key = 0; key < before.size(); ++key) {
      if (before[key] != 2) {
        EXPECT_EQ(during[key], before[key]);
        continue;
      }
      ++own;
      back += during[key] == 2 ? 1 : 0;
      EXPECT_TRUE(!is_back[key] || during[key] == 2) << "who came back stays";
      is_back[key] = during[key] == 2;
    }
    EXPECT_NEAR(static_cast<double>(back) / own, 0.1 + 0.09 * step, 0.04);
    rig.wait(limits::upstream_slow_start / 10);
  }
}

TEST(UpstreamGroup, raises_the_share_of_a_member_that_is_back_step_by_step) {
  struct Case {
    Pick pick;
    double full_share;  // of three equal members, the one that is back being the idlest and fastest
  };
  for (const auto& [pick, full_share] :
       {Case{Pick::first_alive, 1}, Case{Pick::round_robin, 1.0 / 3}, Case{Pick::least_sessions, 1},
        Case{Pick::least_latency, 1}, Case{Pick::hash_source, 1.0 / 3}}) {
    Rig rig(pick, 3);
    rig.bring_back(0);
    rig.group().session_began(1);
    rig.group().session_began(2);
    std::string shown;
    double last = 0;
    for (int step = 0; step <= 10; ++step) {
      const double weight = 0.1 + 0.09 * step;
      const double share = rig.shares(3000)[0] / 3000.0;
      const double expected = pick == Pick::round_robin ? weight / (2 + weight) : full_share * weight;
      EXPECT_NEAR(share, expected, 0.03) << static_cast<int>(pick) << " at step " << step;
      EXPECT_GT(share, last - 0.02);
      last = share;
      shown += " " + std::to_string(std::lround(100 * share));
      EXPECT_EQ(rig.state(0), step < 10 ? MemberState::slow_start : MemberState::up);
      rig.wait(limits::upstream_slow_start / 10);
    }
    GTEST_LOG_(INFO) << "pick " << static_cast<int>(pick)
                     << ": per cent of new sessions, by tenths of the slow start:" << shown;
  }
}

TEST(UpstreamGroup, spares_nobody_where_all_come_back_at_once) {
  for (const Pick pick : every_pick) {
    Rig rig(pick, 3);
    for (const std::size_t member : {0U, 1U, 2U}) {
      rig.take_down(member);
    }
    for (const std::size_t member : {0U, 1U, 2U}) {
      EXPECT_TRUE(rig.succeed(member));
    }
    if (pick == Pick::first_alive) {
      EXPECT_EQ(rig.shares(300), (std::vector{300, 0, 0}));
    } else if (pick == Pick::round_robin || pick == Pick::least_sessions) {
      EXPECT_EQ(rig.shares(300), (std::vector{100, 100, 100}));
    }
  }
}

TEST(UpstreamGroup, has_a_probe_due_where_nothing_was_heard_for_a_while) {
  Rig rig(Pick::round_robin, 3, {.probe_every = 30s});
  UpstreamGroup& group = rig.group();
  EXPECT_EQ(group.next_probe(), rig.now()) << "the first one's at once";
  ASSERT_EQ(group.probe_due(rig.now()), 0U);
  const Attempt probe = group.begin_probe(0, rig.now());
  EXPECT_EQ(group.probe_due(rig.now()), std::nullopt);
  EXPECT_EQ(group.next_probe(), rig.now() + 10s) << "the others' spread over the period";
  rig.wait(5s);
  group.succeeded(probe, rig.now(), 5s);
  rig.succeed(1);
  EXPECT_EQ(group.next_probe(), rig.now() + 15s) << "requests heard from the second one";
  rig.wait(15s);
  EXPECT_EQ(group.probe_due(rig.now()), 2U);
  const Attempt given_up = group.begin_probe(2, rig.now());
  group.abandoned(given_up, rig.now());
  EXPECT_EQ(group.probe_due(rig.now()), std::nullopt) << "no hurry behind one that was given up";
  rig.wait(15s);
  EXPECT_EQ(group.probe_due(rig.now()), 0U);
}

TEST(UpstreamGroup, soon_probes_a_member_that_failed_again) {
  Rig rig(Pick::first_alive, 1, {.probe_every = 60s});
  UpstreamGroup& group = rig.group();
  rig.succeed(0);
  rig.fail(0);
  EXPECT_EQ(group.next_probe(), rig.now() + limits::upstream_probe_doubt);
  rig.wait(limits::upstream_probe_doubt);
  group.succeeded(group.begin_probe(0, rig.now()), rig.now(), 1ms);
  EXPECT_EQ(group.next_probe(), rig.now() + 60s);
}

TEST(UpstreamGroup, has_no_probes_where_none_are_wanted) {
  Rig rig(Pick::round_robin, 3);
  EXPECT_EQ(rig.group().next_probe(), std::nullopt);
  rig.wait(1h);
  EXPECT_EQ(rig.group().probe_due(rig.now()), std::nullopt);
}

TEST(UpstreamGroup, leaves_trials_to_probes_where_there_are_any) {
  Rig rig(Pick::first_alive, 2, {.probe_every = 300s});
  UpstreamGroup& group = rig.group();
  for (const std::size_t member : {0U, 1U}) {
    group.abandoned(group.begin_probe(member, rig.now()), rig.now());
  }
  rig.take_down(0);
  EXPECT_EQ(group.next_probe(), rig.now() + limits::upstream_down_first) << "the trial, before the period is over";
  rig.wait(limits::upstream_down_first);
  const Order order = rig.order();
  EXPECT_FALSE(order.trial);
  EXPECT_EQ(order[0], 1U) << "no request is the victim";
  ASSERT_EQ(group.probe_due(rig.now()), 0U);
  const Attempt failing = group.begin_probe(0, rig.now());
  EXPECT_TRUE(failing.is_trial);
  EXPECT_FALSE(group.failed(failing, rig.now()));
  EXPECT_EQ(rig.figures(0).down_for, 2 * limits::upstream_down_first);
  rig.wait(2 * limits::upstream_down_first);
  const Attempt given_up = group.begin_probe(0, rig.now());
  group.abandoned(given_up, rig.now());
  EXPECT_EQ(group.next_probe(), rig.now() + limits::upstream_down_first);
  rig.wait(limits::upstream_down_first);
  EXPECT_TRUE(group.succeeded(group.begin_probe(0, rig.now()), rig.now(), 1ms));
  EXPECT_EQ(rig.state(0), MemberState::slow_start);
  EXPECT_EQ(rig.figures(0).latency, Duration(1ms));
}

TEST(UpstreamGroup, decides_alike_with_like_histories) {
  for (const Pick pick : every_pick) {
    Rig one(pick, 5);
    Rig other(pick, 5);
    for (int request = 0; request < 200; ++request) {
      const Order order = one.order(static_cast<std::uint64_t>(request));
      EXPECT_EQ(order.members, other.order(static_cast<std::uint64_t>(request)).members);
      one.succeed(order[0], 1ms * request);
      other.succeed(order[0], 1ms * request);
    }
  }
}

TEST(UpstreamGroup, hashes_octets_alike_for_ever) {
  EXPECT_EQ(group_hash(""), group_hash(std::string_view{}));
  EXPECT_NE(group_hash("alice"), group_hash("alicf"));
  EXPECT_EQ(group_hash("alice"), 0x1A046F573E1E5475U);
}

TEST(UpstreamGroupDeathTest, holds_its_caller_to_the_contract) {
  const std::vector<std::uint64_t> none;
  EXPECT_DEATH(UpstreamGroup(Pick::first_alive, none, {}, Instant{}), "empty");
  EXPECT_DEATH(UpstreamGroup(Pick::first_alive, identities(33), {}, Instant{}), "upstream_members_max");
  Rig rig(Pick::first_alive, 1);
  const Attempt attempt = rig.group().begin(0, rig.now());
  rig.group().abandoned(attempt, rig.now());
  EXPECT_DEATH(rig.group().abandoned(attempt, rig.now()), "under_way");
  EXPECT_DEATH(rig.group().session_ended(0), "sessions");
  EXPECT_DEATH((void)rig.group().begin(1, rig.now()), "index");
}

TEST(UpstreamGroup, who_was_overtaken_has_neither_failed_nor_succeeded) {
  Rig rig(Pick::first_alive, 2);
  const Attempt attempt = rig.group().begin(0, rig.now());
  rig.wait(300ms);
  rig.group().overtaken(attempt, rig.now(), 300ms);
  EXPECT_EQ(rig.figures(0).latency, Duration(300ms)) << "how far away it is, at least";
  EXPECT_EQ(rig.figures(0).failures, 0U);
  EXPECT_EQ(rig.figures(0).under_way, 0U);
  EXPECT_EQ(rig.first(), 0U);
  rig.succeed(0, 1s);
  const Attempt faster = rig.group().begin(0, rig.now());
  rig.group().overtaken(faster, rig.now(), 10ms);
  EXPECT_EQ(rig.figures(0).latency, Duration(1s)) << "a connection alone is not all that it has to do";
}

TEST(UpstreamGroup, a_trial_that_was_overtaken_is_followed_by_another) {
  Rig rig(Pick::first_alive, 2);
  rig.take_down(0);
  rig.wait(limits::upstream_down_first);
  ASSERT_TRUE(rig.order().trial);
  const Attempt trial = rig.group().begin(0, rig.now());
  ASSERT_TRUE(trial.is_trial);
  EXPECT_FALSE(rig.order().trial) << "one at a time";
  rig.group().overtaken(trial, rig.now(), 300ms);
  EXPECT_EQ(rig.state(0), MemberState::half_open);
  EXPECT_TRUE(rig.order().trial);
}

TEST(UpstreamGroup, what_is_withdrawn_leaves_the_silence_of_those_who_go_on) {
  Rig rig(Pick::first_alive, 2);
  const Attempt goes_on = rig.group().begin(0, rig.now());
  for (int i = 0; i < 9; ++i) {
    rig.group().withdrawn(rig.group().begin(0, rig.now()));
    rig.wait(Duration(limits::upstream_silence) / 9 + 1ms);
  }
  EXPECT_EQ(rig.first(), 1U) << "it has been silent all the while";
  EXPECT_EQ(rig.figures(0).under_way, 1U);
  EXPECT_EQ(rig.figures(0).failures, 0U);
  rig.group().failed(goes_on, rig.now());
  EXPECT_EQ(rig.first(), 0U);
}

}  // namespace
}  // namespace stile::route
