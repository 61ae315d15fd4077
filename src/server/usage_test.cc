// What is counted, each limit exceeded by one, and what is given back.
#include "server/usage.h"

#include <gtest/gtest.h>

#include <thread>

#include "engine/sim/sim_engine.h"

namespace stile::server {
namespace {

using namespace std::chrono;
using policy::Direction;
using policy::Scope;

constexpr WallTime noon = sys_days(2026y / March / 14) + hours(12);
const Address source = Address::v4(203, 0, 113, 9);

config::Limits small() {
  config::Limits limits;
  limits.sessions_per_listener = 3;
  limits.sessions_per_source = 2;
  limits.sessions_per_user = 2;
  limits.udp_associations_per_user = 1;
  return limits;
}

policy::Policy policy_of(std::string_view rules) {
  return std::move(*policy::Policy::compile(rules));
}

TEST(Usage, AListenerTakesSoMany) {
  Usage usage;
  std::vector<Claim> claims(4);
  const Holder holder{.listener = &usage.listener("127.0.0.1:1080"), .source = {}, .user = {}};
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(claims[i].enter(usage, holder, small()), Reason::none);
  EXPECT_EQ(claims[3].enter(usage, holder, small()), Reason::limit_listener);
  EXPECT_FALSE(claims[3].is_held());
  EXPECT_EQ(usage.size(), 0U) << "nothing else was counted";
  EXPECT_TRUE(claims[0].is_plain());
  const Holder another{.listener = &usage.listener("127.0.0.1:1081"), .source = {}, .user = {}};
  EXPECT_EQ(claims[3].enter(usage, another, small()), Reason::none);
  claims[0].release();
  EXPECT_EQ(claims[0].enter(usage, holder, small()), Reason::none);
  claims[1].leave_to_listener();
  claims[2] = Claim{};
  EXPECT_EQ(usage.listener("127.0.0.1:1080"), 2U);
}

TEST(Usage, ASourceTakesSoMany) {
  Usage usage;
  std::vector<Claim> claims(4);
  const Holder holder{.listener = nullptr, .source = source, .user = {}};
  EXPECT_EQ(claims[0].enter(usage, holder, small()), Reason::none);
  EXPECT_EQ(claims[1].enter(usage, holder, small()), Reason::none);
  EXPECT_EQ(claims[2].enter(usage, holder, small()), Reason::limit_source);
  EXPECT_EQ(claims[3].enter(usage, {.listener = nullptr, .source = Address::v4(203, 0, 113, 10), .user = {}}, small()),
            Reason::none);
  EXPECT_FALSE(claims[0].is_plain());
  claims.clear();
  EXPECT_EQ(usage.size(), 0U);
}

// A host has a /64 to draw addresses from.
TEST(Usage, AnIpv6SourceIsItsNetwork) {
  Usage usage;
  std::vector<Claim> claims(4);
  const auto from = [](const char* text) {
    return Holder{.listener = nullptr, .source = *Address::parse(text), .user = {}};
  };
  EXPECT_EQ(claims[0].enter(usage, from("2001:db8::1"), small()), Reason::none);
  EXPECT_EQ(claims[1].enter(usage, from("2001:db8::ffff:1"), small()), Reason::none);
  EXPECT_EQ(claims[2].enter(usage, from("2001:db8:0:0:1::"), small()), Reason::limit_source);
  EXPECT_EQ(claims[3].enter(usage, from("2001:db8:0:1::"), small()), Reason::none);
}

TEST(Usage, AUserTakesSoManyWhereverItComesFrom) {
  Usage usage;
  std::vector<Claim> claims(5);
  const Holder here{.listener = nullptr, .source = {}, .user = "alice"};
  const Holder there{.listener = nullptr, .source = source, .user = "alice"};
  EXPECT_EQ(claims[0].enter(usage, here, small()), Reason::none);
  EXPECT_EQ(claims[1].enter(usage, there, small()), Reason::none);
  EXPECT_EQ(claims[2].enter(usage, there, small()), Reason::limit_user);
  EXPECT_EQ(claims[2].enter(usage, {.listener = nullptr, .source = source, .user = "bob"}, small()), Reason::none)
      << "what failed gave back the source as well";
  for (std::size_t i = 3; i < 5; ++i) EXPECT_EQ(claims[i].enter(usage, {}, small()), Reason::none) << "nobody in particular";
}

TEST(Usage, AUserTakesSoManyAssociations) {
  Usage usage;
  std::vector<Claim> claims(3);
  const Holder associates{.listener = nullptr, .source = {}, .user = "alice", .associates = true};
  EXPECT_EQ(claims[0].enter(usage, associates, small()), Reason::none);
  EXPECT_EQ(claims[1].enter(usage, associates, small()), Reason::limit_associations);
  EXPECT_EQ(claims[1].enter(usage, {.listener = nullptr, .source = {}, .user = "alice"}, small()), Reason::none);
  EXPECT_EQ(claims[2].enter(usage, associates, small()), Reason::limit_user);
  claims[0].release();
  EXPECT_EQ(claims[0].enter(usage, associates, small()), Reason::none);
}

/// One session of a user under a rule's options.
struct Session {
  Claim claim;
  Reason enter(Usage& usage, const policy::Options& options, std::string_view user = {}, WallTime now = noon,
               const std::string& name = "web") {
    claim.release();
    EXPECT_EQ(claim.enter(usage, {}, {}), Reason::none);
    return claim.enter_rule(1, name, options, user, now);
  }
};

TEST(Usage, ARuleTakesSoMany) {
  Usage usage;
  policy::Options options;
  options.sessions = {{Scope::rule, 2}};
  std::vector<Session> sessions(4);
  EXPECT_EQ(sessions[0].enter(usage, options), Reason::none);
  EXPECT_EQ(sessions[0].claim.enter_rule(1, "web", options, {}, noon), Reason::none) << "it is one session";
  EXPECT_EQ(sessions[1].enter(usage, options, "alice"), Reason::none);
  EXPECT_EQ(sessions[2].enter(usage, options, "bob"), Reason::limit_rule);
  EXPECT_EQ(sessions[3].enter(usage, options, {}, noon, "db"), Reason::none);
  sessions[1].claim.keep(2);  // it went by another rule
  EXPECT_EQ(sessions[2].enter(usage, options, "bob"), Reason::none);
}

TEST(Usage, EachUserOfARuleTakesSoMany) {
  Usage usage;
  policy::Options options;
  options.sessions = {{Scope::user, 1}, {Scope::rule, 3}};
  std::vector<Session> sessions(5);
  EXPECT_EQ(sessions[0].enter(usage, options, "alice"), Reason::none);
  EXPECT_EQ(sessions[1].enter(usage, options, "alice"), Reason::limit_rule);
  EXPECT_EQ(sessions[1].enter(usage, options, "bob"), Reason::none);
  EXPECT_EQ(sessions[2].enter(usage, options), Reason::none);
  EXPECT_EQ(sessions[3].enter(usage, options), Reason::limit_rule) << "clients without a name are one user";
  EXPECT_EQ(sessions[4].enter(usage, options, "carol"), Reason::limit_rule) << "the whole of it";
  sessions[2].claim.release();
  EXPECT_EQ(sessions[4].enter(usage, options, "carol"), Reason::none);
  sessions.clear();
  EXPECT_EQ(usage.size(), 0U);
}

TEST(Usage, SessionsShareTheRatesOfTheirScope) {
  Usage usage;
  policy::Options options;
  options.rates = {{Scope::rule, Direction::both, 10'000'000},
                   {Scope::user, Direction::down, 500'000},
                   {Scope::tunnel, Direction::up, 100'000}};
  std::vector<Session> sessions(3);
  std::vector<std::unique_ptr<relay::Terms>> terms;
  const char* const users[] = {"alice", "alice", "bob"};
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(sessions[i].enter(usage, options, users[i]), Reason::none);
    terms.push_back(sessions[i].claim.terms(1, options));
  }
  const Instant now{hours(1)};
  // The tunnel's own 100 KB/s makes each turn of 8 ms one KiB; the rule's million is far.
  for (const auto& one : terms) EXPECT_EQ(one->up.allowed(now), limits::rate_quantum_octets);
  // Down, alice's two share her 500 KB/s: 4,000 octets a turn, and 10 ms of credit.
  EXPECT_EQ(terms[0]->down.allowed(now), 4'000U);
  terms[0]->down.moved(4'000);
  EXPECT_EQ(terms[0]->down.allowed(now), 4'000U);
  EXPECT_EQ(terms[1]->down.allowed(now), 0U);
  EXPECT_GT(terms[2]->down.allowed(now), 0U) << "bob has his own";
  for (const auto& one : terms) {
    one->up.moved(0);
    one->down.moved(0);
  }
}

TEST(Usage, NothingAskedIsNothingHeldTo) {
  Usage usage;
  Session session;
  EXPECT_EQ(session.enter(usage, {}), Reason::none);
  EXPECT_EQ(session.claim.terms(1, {}), nullptr);
  EXPECT_TRUE(session.claim.is_plain());
  policy::Options options;
  options.idle = seconds(5);
  EXPECT_EQ(session.enter(usage, options), Reason::none);
  EXPECT_EQ(session.claim.terms(1, options)->idle, seconds(5));
  EXPECT_EQ(usage.size(), 0U);
}

TEST(Usage, AQuotaLastsForItsPeriod) {
  Usage usage;
  policy::Options options;
  options.quotas = {{Scope::user, policy::Quota::Period::day, 1'000},
                    {Scope::user, policy::Quota::Period::month, 1'500}};
  Session alice;
  Session bob;
  ASSERT_EQ(alice.enter(usage, options, "alice"), Reason::none);
  alice.claim.terms(1, options)->charge(1'000);
  EXPECT_EQ(alice.enter(usage, options, "alice"), Reason::limit_quota);
  EXPECT_EQ(bob.enter(usage, options, "bob"), Reason::none);
  EXPECT_EQ(alice.enter(usage, options, "alice", noon + hours(11) + minutes(59)), Reason::limit_quota);
  EXPECT_EQ(alice.enter(usage, options, "alice", noon + hours(12)), Reason::none) << "midnight";
  alice.claim.terms(1, options)->charge(500);
  EXPECT_EQ(alice.enter(usage, options, "alice", noon + hours(13)), Reason::limit_quota) << "the month's";
  EXPECT_EQ(alice.enter(usage, options, "alice", noon - hours(48)), Reason::limit_quota)
      << "a clock that is set back gives nothing back";
  EXPECT_EQ(alice.enter(usage, options, "alice", sys_days(2026y / April / 1)), Reason::none);
  alice.claim.release();
  bob.claim.release();
  usage.roll_over(sys_days(2026y / May / 1));
  EXPECT_EQ(usage.size(), 0U);
}

TEST(Usage, RemembersWhatWasSpent) {
  Usage usage;
  const auto policy = policy_of(
      "web: allow anyone to public quota per user 1000B/day quota 5000B/month\n"
      "db: allow anyone to private\n");
  std::vector<WallTime> asked;
  const auto spent_since = [&](WallTime since) {
    asked.push_back(since);
    const bool month = since == sys_days(2026y / March / 1);
    return std::vector<Spent>{
        {"web", "alice", month ? 4'900U : 1'000U}, {"web", "", month ? 50U : 5U}, {"gone", "alice", 1}};
  };
  usage.remember(policy, spent_since, noon);
  EXPECT_EQ(asked, (std::vector<WallTime>{sys_days(2026y / March / 14), sys_days(2026y / March / 1)}));
  const policy::Options& options = policy.options(0);
  Session session;
  EXPECT_EQ(session.enter(usage, options, "alice"), Reason::limit_quota);
  EXPECT_EQ(session.enter(usage, options, "bob"), Reason::none);
  session.claim.terms(1, options)->charge(50);
  EXPECT_EQ(session.enter(usage, options, ""), Reason::limit_quota) << "the rule's for this month";
  // After a reload the store is not asked for what is counted here already.
  usage.remember(policy, spent_since, noon);
  EXPECT_EQ(asked.size(), 2U);
  usage.remember(policy_of("db: allow anyone to private quota 1B/day"), spent_since, noon);
  EXPECT_EQ(asked.size(), 4U);
}

TEST(Usage, WakesEveryEngineWhenAQuotaIsExceeded) {
  struct Sleeper {
    Sleeper() {
      woken.bind<&Sleeper::on_woken>(this);
      engine.on_wake(&woken);
    }
    ~Sleeper() { engine.on_wake(nullptr); }
    void on_woken(engine::Status) { ++wakes; }
    engine::SimEngine engine{1};
    engine::Operation woken;
    int wakes = 0;
  };
  Usage usage;
  Sleeper one;
  Sleeper other;
  usage.attach(one.engine);
  usage.attach(other.engine);
  usage.quota_exceeded();
  EXPECT_EQ(usage.exceeded(), 1U);
  for (Sleeper* const sleeper : {&one, &other}) {
    sleeper->engine.run_for(seconds(1));
    EXPECT_EQ(sleeper->wakes, 1);
  }
  usage.detach(other.engine);
  usage.quota_exceeded();
  other.engine.run_for(seconds(1));
  EXPECT_EQ(other.wakes, 1);
  one.engine.run_for(seconds(1));
}

// All at once: no limit is exceeded, and nothing is left over.
TEST(Usage, IsExactUnderThreads) {
  Usage usage;
  policy::Options options;
  options.sessions = {{Scope::rule, 5}};
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5'000; ++round) {
        Claim claims[2];
        for (Claim& claim : claims) {
          const std::string user = "user" + std::to_string(round % 7);
          if (claim.enter(usage, {.listener = nullptr, .source = source, .user = user}, {}) != Reason::none) continue;
          if (claim.enter_rule(i, "web", options, user, noon) != Reason::none) continue;
          const int now = ++inside;
          for (int so_far = most; now > so_far && !most.compare_exchange_weak(so_far, now);) continue;
          --inside;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 5);
  EXPECT_EQ(usage.size(), 0U);
}

}  // namespace
}  // namespace stile::server
