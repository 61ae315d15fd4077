// Ways through upstreams: who takes whose place, what is learnt, and that nothing is left behind, with each call of the
// engine failing in turn.
#include "route/way.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "base/limits.h"
#include "engine/sim/call_sweep_for_tests.h"
#include "route/proxy_for_tests.h"
#include "sys/errno_table.h"

namespace stile::route {
namespace {

using namespace std::chrono_literals;
using engine::Status;

const std::string greeting = octets({5, 1, 0});
const std::string request = octets({5, 1, 0, 1, 192, 0, 2, 10, 0, 80});
const std::string granted = octets({5, 0, 0, 1, 198, 51, 100, 7, 0x9C, 0x40});
const std::string refused = octets({5, 5, 0, 1, 0, 0, 0, 0, 0, 0});
const Script works{.turns = {{greeting, octets({5, 0})}, {request, granted}}};

/// Upstreams in a small world, and one way at a time through them.
class Town {
 public:
  explicit Town(std::uint64_t fail_at = 0, int error = EIO) : upstreams_(rig_.engine, rig_.resolver) {
    stream_.bind<&Town::ignore>(this);
    if (fail_at != 0) rig_.engine.fail_nth(fail_at, sys::make_error(error));
  }
  ~Town() {
    for (const auto& way : beside_) way->cancel();
    upstreams_.stop();
    (void)rig_.engine.run_for(1ms);
    beside_.clear();
    way_.reset();
    stream_.close(rig_.engine);
    for (auto& [at, proxy] : proxies_) proxy->close_all();
    (void)rig_.engine.run_until_idle();
  }
  Town(const Town&) = delete;
  Town& operator=(const Town&) = delete;

  ScriptedProxy& serve(std::string_view at, Script script) {
    auto& proxy = proxies_[std::string(at)];
    if (proxy) {
      proxy->close_all();
      (void)rig_.engine.run_for(1ms);
    }
    proxy = std::make_unique<ScriptedProxy>(rig_.engine, Endpoint::parse(at).value(), std::move(script));
    return *proxy;
  }
  void close(std::string_view at) {
    proxies_.at(std::string(at))->close_all();
    (void)rig_.engine.run_for(1ms);
    proxies_.erase(std::string(at));
  }
  void use(const UpstreamPlans& plans) { upstreams_.use(plans); }

  void ask_from(const EgressSettings& egress) { egress_ = egress; }
  void start(const std::vector<std::string>& via, const WayKeys& keys = {}) {
    stream_.close(rig_.engine);
    completions_ = 0;
    way_.emplace(rig_.engine, rig_.resolver, upstreams_);
    way_->bind<&Town::on_led>(this);
    via_ = via;
    way_->start(via_, {.target = target_of("192.0.2.10"), .egress = egress_}, keys, 30s);
    EXPECT_EQ(completions_, 0) << "completed inline";
  }
  Reason go(const std::vector<std::string>& via, const WayKeys& keys = {}) {
    start(via, keys);
    (void)rig_.engine.run_for(2min);
    EXPECT_EQ(completions_, 1);
    return way_->reason();
  }
  [[nodiscard]] UpstreamGroup::Figures figures(std::size_t server) const {
    return upstreams_.figures()[server].figures;
  }
  [[nodiscard]] std::string why(std::size_t server) const {
    const auto failure = upstreams_.figures()[server].last_failure;
    return failure ? failure->why : "";
  }
  /// Another way at the same time, whose result nobody waits for.
  void set_out_beside(const std::vector<std::string>& via) {
    auto& way = *beside_.emplace_back(std::make_unique<Way>(rig_.engine, rig_.resolver, upstreams_));
    way.bind<&Town::ignore>(this);
    way.start(via, {.target = target_of("192.0.2.10")}, {}, 30s);
  }
  void stop() { upstreams_.stop(); }
  [[nodiscard]] bool quiet() const { return upstreams_.quiet(); }
  [[nodiscard]] Way& way() { return *way_; }
  [[nodiscard]] int completions() const { return completions_; }
  [[nodiscard]] engine::SimEngine& engine() { return rig_.engine; }

 private:
  void on_led(Status) {
    ++completions_;
    EXPECT_FALSE(way_->pending());
    if (way_->reason() == Reason::none) way_->take(stream_);
  }
  void ignore(Status) {}

  ClientRig rig_;
  Upstreams upstreams_;
  std::map<std::string, std::unique_ptr<ScriptedProxy>> proxies_;
  std::vector<std::unique_ptr<Way>> beside_;
  std::vector<std::string> via_;
  EgressSettings egress_;
  std::optional<Way> way_;
  protect::Line stream_;
  int completions_ = 0;
};

const std::string one_at = "127.0.0.1:1080";
const std::string two_at = "127.0.0.2:1080";
const std::vector<std::string> both{"socks5h://127.0.0.1", "socks5h://127.0.0.2"};

TEST(Way, LeadsThroughTheFirstThatIsAliveAndCountsTheSession) {
  Town town;
  town.use({plan_of("exit", both)});
  town.serve(one_at, works);
  ScriptedProxy& second = town.serve(two_at, works);
  EXPECT_EQ(town.go({"exit"}), Reason::none);
  EXPECT_EQ(town.way().text(), "exit (127.0.0.1:1080)");
  EXPECT_EQ(town.way().bound().target()->to_string(), "198.51.100.7:40000");
  EXPECT_EQ(second.visitors(), 0);
  EXPECT_EQ(town.figures(0).attempts, 1U);
  EXPECT_EQ(town.figures(0).failures, 0U);
  {
    Passage passage = town.way().passage();
    EXPECT_EQ(town.figures(0).sessions, 1U);
    const Passage moved = std::move(passage);
    EXPECT_EQ(town.figures(0).sessions, 1U);
  }
  EXPECT_EQ(town.figures(0).sessions, 0U);
}

TEST(Way, KnowsWhereItEndsAtAServiceInThePath) {
  Town town;
  town.serve("192.0.2.1:1080", works);
  town.serve("192.0.2.2:8080", {});
  town.use({plan_of("exit", {"socks5://192.0.2.1:1080"}), plan_of("cache", {"proxy-protocol://192.0.2.2:8080"})});
  ASSERT_EQ(town.go({"exit"}), Reason::none);
  EXPECT_FALSE(town.way().ends_at_service());
  ASSERT_EQ(town.go({"cache"}), Reason::none);
  EXPECT_TRUE(town.way().ends_at_service());
}

TEST(Way, WhereAServerFailsAnotherTakesItsPlaceWithinTheRequest) {
  const std::vector<std::pair<const char*, Script>> kinds{
      {"closes", {.turns = {}, .end = Script::End::fin}},
      {"resets", {.turns = {}, .end = Script::End::reset}},
      {"is silent", {.turns = {{greeting, ""}, {"never", ""}}}},
      {"takes no method", {.turns = {{greeting, octets({5, 0xFF})}}}},
      {"speaks something else", {.turns = {{"", "HTTP/1.1 400"}}}},
      {"closes behind the request", {.turns = {{greeting, octets({5, 0})}, {request, ""}}, .end = Script::End::fin}},
  };
  for (const auto& [kind, script] : kinds) {
    SCOPED_TRACE(kind);
    Town town;
    town.use({plan_of("exit", both)});
    town.serve(one_at, script);
    town.serve(two_at, works);
    EXPECT_EQ(town.go({"exit"}), Reason::none);
    EXPECT_EQ(town.way().text(), "exit (127.0.0.2:1080)");
    EXPECT_EQ(town.figures(0).failures, 1U);
    EXPECT_EQ(town.figures(1).failures, 0U);
  }
  Town town;
  town.use({plan_of("exit", both)});
  town.serve(two_at, works);
  EXPECT_EQ(town.go({"exit"}), Reason::none) << "nobody listens at the first";
  EXPECT_EQ(town.figures(0).failures, 1U);
}

// It may be the target that is slow, but nothing says that it is: half of the time is the next one's.
TEST(Way, WhoLetsUsInAndNeverAnswersIsLeftForAnotherInTime) {
  struct Kind {
    std::string scheme;
    Script mute;
    Script answers;
    std::uint64_t failures;  // SOCKS5 has shown that it works
  };
  const std::string connect = "CONNECT 192.0.2.10:80 HTTP/1.1\r\nHost: 192.0.2.10:80\r\n\r\n";
  const std::string request4 = octets({4, 1, 0, 80, 192, 0, 2, 10, 0});
  const std::vector<Kind> kinds{
      {"socks5h", {.turns = {{greeting, octets({5, 0})}, {request + "never", ""}}}, works, 0},
      {"http", {.turns = {{connect + "never", ""}}}, {.turns = {{connect, "HTTP/1.1 200 OK\r\n\r\n"}}}, 1},
      {"socks4a", {.turns = {{request4 + "never", ""}}}, {.turns = {{request4, octets({0, 90, 0, 0, 0, 0, 0, 0})}}}, 1},
  };
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(kind.scheme);
    Town town;
    town.use({plan_of("exit", {kind.scheme + "://127.0.0.1:1080", kind.scheme + "://127.0.0.2:1080"})});
    town.serve(one_at, kind.mute);
    town.serve(two_at, kind.answers);
    town.start({"exit"});
    (void)town.engine().run_for(14s);
    EXPECT_EQ(town.completions(), 0) << "of 30 s";
    (void)town.engine().run_for(2s);
    ASSERT_EQ(town.completions(), 1);
    EXPECT_EQ(town.way().reason(), Reason::none);
    EXPECT_EQ(town.way().text(), "exit (127.0.0.2:1080)");
    EXPECT_EQ(town.figures(0).failures, kind.failures);
    EXPECT_EQ(town.figures(0).under_way, 0U);
    EXPECT_EQ(town.figures(1).failures, 0U);
  }
}

TEST(Way, WhereThereIsNoOtherTheLastOneHasAllOfTheTime) {
  for (const std::size_t servers : {1U, 2U}) {
    SCOPED_TRACE(servers);
    Town town;
    town.use({plan_of("exit", {both.begin(), both.begin() + static_cast<std::ptrdiff_t>(servers)})});
    const Script mute{.turns = {{greeting, octets({5, 0})}, {request + "never", ""}}};
    town.serve(one_at, mute);
    town.serve(two_at, mute);
    town.start({"exit"});
    (void)town.engine().run_for(29s);
    EXPECT_EQ(town.completions(), 0);
    (void)town.engine().run_for(2s);
    ASSERT_EQ(town.completions(), 1);
    EXPECT_EQ(town.way().reason(), Reason::upstream_failed);
    EXPECT_EQ(town.figures(0).failures, 0U);
  }
}

TEST(Way, AServerThatFailsOftenIsLeftAloneAndTriedAgainLater) {
  Town town;
  config::Upstream settings;
  settings.failures = 2;
  settings.retry = 10s;
  settings.slow_start = Duration::zero();
  town.use({plan_of("exit", both, settings)});
  town.serve(two_at, works);
  town.start({"exit"});
  (void)town.engine().run_for(1s);
  EXPECT_EQ(town.way().reason(), Reason::none);
  town.serve(two_at, works);
  town.start({"exit"});
  (void)town.engine().run_for(1s);
  EXPECT_EQ(town.figures(0).state, MemberState::down);
  town.serve(two_at, works);
  town.start({"exit"});
  (void)town.engine().run_for(1s);
  EXPECT_EQ(town.figures(0).attempts, 2U) << "it is down, and not asked";
  town.serve(one_at, works);
  (void)town.engine().run_for(10s);
  EXPECT_EQ(town.go({"exit"}), Reason::none);
  EXPECT_EQ(town.way().text(), "exit (127.0.0.1:1080)") << "a session was its trial";
  EXPECT_EQ(town.figures(0).state, MemberState::up);
}

// The target's refusal is an answer: to ask another server would only hide it.
TEST(Way, WhatTheLastServerSaysOfTheTargetIsTheResult) {
  Town town;
  town.use({plan_of("exit", both)});
  town.serve(one_at, {.turns = {{greeting, octets({5, 0})}, {request, refused}}});
  ScriptedProxy& second = town.serve(two_at, works);
  EXPECT_EQ(town.go({"exit"}), Reason::upstream_refused);
  EXPECT_EQ(second.visitors(), 0);
  EXPECT_EQ(town.figures(0).failures, 0U);
}

TEST(Way, WhereAllFailTheClientIsToldSo) {
  Town town;
  town.use({plan_of("exit", both)});
  EXPECT_EQ(town.go({"exit"}), Reason::upstream_failed);
  EXPECT_EQ(town.figures(0).failures, 1U);
  EXPECT_EQ(town.figures(1).failures, 1U);
}

TEST(Way, AnUpstreamThatAReloadTookAwayIsAFailure) {
  Town town;
  EXPECT_EQ(town.go({"exit"}), Reason::upstream_failed);
}

// The first hop answers and does its work; what it cannot reach is the second.
TEST(Way, OfAChainTheHopThatFailsIsReplaced) {
  Town town;
  town.use(
      {plan_of("near", {"socks5h://127.0.0.1"}), plan_of("far", {"socks5h://203.0.113.1", "socks5h://203.0.113.2"})});
  const std::string to_first = octets({5, 1, 0, 1, 203, 0, 113, 1, 4, 56});
  const std::string to_second = octets({5, 1, 0, 1, 203, 0, 113, 2, 4, 56});
  // Whichever of them it is asked for, it says that nobody listens there.
  ScriptedProxy& near = town.serve(one_at, {.turns = {{greeting, octets({5, 0})}, {to_first, refused}}});
  EXPECT_EQ(town.go({"near", "far"}), Reason::upstream_failed);
  EXPECT_EQ(near.heard(), greeting + to_first + greeting + to_second);
  EXPECT_EQ(town.figures(0).failures, 0U) << "near";
  EXPECT_EQ(town.figures(1).failures, 1U) << "far, the first server";
  EXPECT_EQ(town.figures(2).failures, 1U) << "and the second";
  EXPECT_EQ(town.why(1), "the proxy in front of it says: the target refuses the connection");
  EXPECT_EQ(town.why(0), "");
}

TEST(Way, ProbesFindOutWithoutASession) {
  Town town;
  config::Upstream settings;
  settings.failures = 1;
  settings.probe = 1s;
  settings.slow_start = Duration::zero();
  town.use({plan_of("exit", both, settings)});
  town.serve(two_at, works);
  (void)town.engine().run_for(5s);
  EXPECT_EQ(town.figures(0).state, MemberState::down);
  EXPECT_EQ(town.why(0), "nobody listens there");
  EXPECT_EQ(town.figures(1).state, MemberState::up);
  ScriptedProxy& second = town.serve(two_at, works);
  ScriptedProxy& first = town.serve(one_at, works);
  (void)town.engine().run_for(30s);
  EXPECT_EQ(town.figures(0).state, MemberState::up);
  EXPECT_GT(first.visitors(), 0);
  EXPECT_EQ(first.heard().substr(0, 2 * greeting.size()), greeting + greeting) << "greeted, and asked for nothing";
  EXPECT_GT(second.visitors(), 1);
}

// Whoever stops them must know when their operations are gone, whatever a probe is about at that time.
TEST(Way, StoppedUpstreamsTellOnceWhenNothingIsPending) {
  struct Owner {
    void on_quiet(Status) { ++told; }
    int told = 0;
  };
  for (int microseconds = 0; microseconds < 1'000; microseconds += 25) {
    SCOPED_TRACE(microseconds);
    ClientRig rig;
    Upstreams upstreams(rig.engine, rig.resolver);
    ScriptedProxy proxy(rig.engine, Endpoint::parse(one_at).value(), works);
    config::Upstream settings;
    settings.probe = 1s;
    upstreams.use({plan_of("exit", {"socks5h://127.0.0.1", "socks5h://192.0.2.66"}, settings)});
    rig.engine.set_route(Address::v4(192, 0, 2, 66), engine::SimBehaviour::silent());
    (void)rig.engine.run_for(1s + std::chrono::microseconds(microseconds));
    Owner owner;
    engine::Operation quiet;
    quiet.bind<&Owner::on_quiet>(&owner);
    upstreams.stop(&quiet);
    EXPECT_EQ(owner.told, 0) << "told inline";
    (void)rig.engine.run_for(1s);
    EXPECT_EQ(owner.told, 1);
    EXPECT_TRUE(upstreams.quiet());
    proxy.close_all();
    (void)rig.engine.run_for(1min);
    EXPECT_EQ(owner.told, 1);
  }
}

TEST(Way, AReloadKeepsWhatWasLearntOfWhatStays) {
  Town town;
  town.use({plan_of("exit", both), plan_of("other", {"socks5h://127.0.0.9"})});
  town.serve(two_at, works);
  (void)town.go({"exit"});
  EXPECT_EQ(town.figures(0).failures, 1U);
  town.use({plan_of("exit", both)});
  EXPECT_EQ(town.figures(0).failures, 1U);
  config::Upstream other;
  other.pick = config::Pick::round_robin;
  town.use({plan_of("exit", both, other)});
  EXPECT_EQ(town.figures(0).failures, 0U) << "another upstream by the same name";
}

TEST(Way, HashedPicksGoByTheirKey) {
  Town town;
  config::Upstream settings;
  settings.pick = config::Pick::hash_user;
  town.use({plan_of("exit", both, settings)});
  std::map<std::string, int> of;
  for (std::uint64_t user = 1; user <= 40; ++user) {
    std::string first;
    for (int i = 0; i < 2; ++i) {
      town.serve(one_at, works);
      town.serve(two_at, works);
      town.start({"exit"}, {.source = static_cast<std::uint64_t>(i), .user = user * 0x9E3779B97F4A7C15U});
      (void)town.engine().run_for(1s);
      if (i == 0) first = town.way().text();
      EXPECT_EQ(town.way().text(), first);
    }
    ++of[first];
  }
  EXPECT_EQ(of.size(), 2U);
}

// ── several at once ─────────────────────────────────────────────────────────────────────────────────────────────────

const Address one_address = Address::v4(127, 0, 0, 1);
const Address two_address = Address::v4(127, 0, 0, 2);

TEST(Way, WhereAServerIsSilentTheNextIsDialledBesideIt) {
  Town town;
  town.use({plan_of("exit", both)});
  town.engine().set_route(one_address, engine::SimBehaviour::silent());
  town.serve(two_at, works);
  const Instant began = town.engine().now();
  town.start({"exit"});
  (void)town.engine().run_for(249ms);
  EXPECT_EQ(town.completions(), 0);
  EXPECT_EQ(town.figures(1).attempts, 0U) << "not before its time";
  (void)town.engine().run_for(10ms);
  ASSERT_EQ(town.completions(), 1);
  EXPECT_EQ(town.way().reason(), Reason::none);
  EXPECT_EQ(town.way().text(), "exit (127.0.0.2:1080)");
  EXPECT_EQ(town.way().peer().address, two_address);
  EXPECT_EQ(town.figures(0).failures, 0U) << "nobody knows yet";
  EXPECT_EQ(town.figures(0).under_way, 1U);
  {
    const Passage passage = town.way().passage();
    EXPECT_EQ(town.figures(0).sessions, 0U);
    EXPECT_EQ(town.figures(1).sessions, 1U);
  }
  (void)town.engine().run_for(10s);
  EXPECT_EQ(town.figures(0).failures, 1U) << "it never answered, and is known for that";
  EXPECT_EQ(town.figures(0).under_way, 0U);
  EXPECT_EQ(town.figures(1).failures, 0U);
  EXPECT_GE(town.engine().now() - began, 10s);
}

TEST(Way, WhoIsOnlyFarAwayKeepsItsClients) {
  Town town;
  config::Upstream settings;
  settings.pick = config::Pick::first_alive;
  town.use({plan_of("exit", both, settings)});
  town.engine().set_route(one_address, engine::SimBehaviour::normal(200ms));
  town.serve(one_at, works);
  town.serve(two_at, works);
  ASSERT_EQ(town.go({"exit"}), Reason::none);
  EXPECT_EQ(town.way().text(), "exit (127.0.0.2:1080)") << "nothing was known of it";
  EXPECT_EQ(town.figures(0).failures, 0U);
  EXPECT_GE(town.figures(0).latency.value_or(0s), 400ms) << "it answered, later";
  for (int i = 0; i < 3; ++i) {
    town.serve(one_at, works);
    ScriptedProxy& second = town.serve(two_at, works);
    ASSERT_EQ(town.go({"exit"}), Reason::none);
    EXPECT_EQ(town.way().text(), "exit (127.0.0.1:1080)");
    EXPECT_EQ(second.visitors(), 0);
  }
}

TEST(Way, WhoWasOvertakenIsTriedAgainWhereTheWinnerDisappoints) {
  Town town;
  town.use({plan_of("exit", both)});
  town.engine().set_route(one_address, engine::SimBehaviour::normal(200ms));
  town.serve(one_at, works);
  town.serve(two_at, {.turns = {}, .end = Script::End::fin});
  ASSERT_EQ(town.go({"exit"}), Reason::none);
  EXPECT_EQ(town.way().text(), "exit (127.0.0.1:1080)");
  EXPECT_EQ(town.figures(0).failures, 0U);
  EXPECT_EQ(town.figures(1).failures, 1U);
  EXPECT_EQ(town.figures(0).under_way + town.figures(1).under_way, 0U);
}

TEST(Way, WhereAllAreSilentTheClientIsToldSoInTime) {
  Town town;
  std::vector<std::string> urls;
  for (int i = 1; i <= 6; ++i) urls.push_back("socks5h://203.0.113." + std::to_string(i));
  town.use({plan_of("exit", urls)});
  town.engine().set_route(*Cidr::parse("203.0.113.0/24"), engine::SimBehaviour::silent());
  town.start({"exit"});
  (void)town.engine().run_for(2s);
  std::size_t under_way = 0;
  for (std::size_t i = 0; i < urls.size(); ++i) under_way += town.figures(i).under_way;
  EXPECT_EQ(under_way, limits::upstream_racers_max);
  (void)town.engine().run_for(10s);
  EXPECT_EQ(town.completions(), 1);
  EXPECT_EQ(town.way().reason(), Reason::upstream_failed);
  for (std::size_t i = 0; i < urls.size(); ++i) EXPECT_EQ(town.figures(i).failures, 1U) << i;
}

// As long as the first dials wait, the group's order puts the silent member behind the others.
TEST(Way, WhoSwallowsWhateverIsSentCostsFewRequestsAWait) {
  Town town;
  town.use({plan_of("exit", both)});
  town.engine().set_route(one_address, engine::SimBehaviour::silent());
  int waited = 0;
  for (int i = 0; i < 100; ++i) {
    town.serve(two_at, works);
    const Instant began = town.engine().now();
    town.start({"exit"});
    while (town.completions() == 0) (void)town.engine().run_for(1ms);
    ASSERT_EQ(town.way().reason(), Reason::none);
    if (town.engine().now() - began > 100ms) ++waited;
    EXPECT_LE(town.figures(0).under_way, limits::upstream_stragglers_max + 1);
    (void)town.engine().run_for(100ms);
  }
  EXPECT_GT(waited, 1);
  EXPECT_LT(waited, 12);
  EXPECT_EQ(town.figures(0).falls, 1U);
  EXPECT_EQ(town.figures(1).failures, 0U);
}

TEST(Way, OfMoreThanAFewDialsToOneServerTheLaterOnesAreGivenUp) {
  Town town;
  config::Upstream settings;
  settings.timeout = 1min;
  settings.pick = config::Pick::first_alive;
  town.use({plan_of("exit", both, settings)});
  town.engine().set_route(one_address, engine::SimBehaviour::silent());
  // All of them set out at once, before the first is known to be silent.
  for (int i = 0; i < 20; ++i) town.set_out_beside({"exit"});
  EXPECT_EQ(town.figures(0).under_way, 20U);
  town.serve(two_at, works);
  (void)town.engine().run_for(1s);
  EXPECT_EQ(town.figures(0).under_way, limits::upstream_stragglers_max);
  EXPECT_EQ(town.figures(0).failures, 0U);
}

TEST(Way, LeavesFromWhereTheRuleOrTheUpstreamSays) {
  Town town;
  config::Upstream settings;
  auto plan = std::make_shared<UpstreamPlan>();
  plan->settings = settings;
  plan->settings.name = "exit";
  plan->hops.push_back(proxy_at("socks5h://127.0.0.1"));
  plan->hops.back().egress.interface = *InterfaceName::parse("eth1");
  town.use({plan});
  town.serve(one_at, works);
  EXPECT_EQ(town.go({"exit"}), Reason::dial_egress) << "there is no eth1";
  EXPECT_EQ(town.figures(0).failures, 0U) << "which is no fault of the server's";
  town.engine().add_interface(*InterfaceName::parse("eth1"));
  EXPECT_EQ(town.go({"exit"}), Reason::none);
  town.ask_from({.from = {}, .interface = *InterfaceName::parse("eth2")});
  EXPECT_EQ(town.go({"exit"}), Reason::dial_egress) << "the rule's comes first";
  town.ask_from({.from = {}, .interface = {}, .mark = 7});
  town.serve(one_at, works);
  EXPECT_EQ(town.go({"exit"}), Reason::none);
  town.engine().set_marks_refused(true);
  EXPECT_EQ(town.go({"exit"}), Reason::dial_egress);
}

TEST(Way, CancellingARaceAtAnyTimeCompletesOnceAndLeavesNothing) {
  for (int milliseconds = 0; milliseconds < 700; milliseconds += 10) {
    Town town;
    town.use({plan_of("exit", both)});
    town.engine().set_route(one_address, engine::SimBehaviour::normal(300ms));
    town.engine().set_route(two_address, engine::SimBehaviour::normal(100ms));
    town.serve(one_at, works);
    town.serve(two_at, works);
    town.start({"exit"});
    (void)town.engine().run_for(std::chrono::milliseconds(milliseconds));
    town.way().cancel();
    (void)town.engine().run_for(1min);
    EXPECT_EQ(town.completions(), 1) << milliseconds;
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(town.figures(i).failures, 0U) << milliseconds;
      EXPECT_EQ(town.figures(i).under_way, 0U) << milliseconds;
    }
  }
}

TEST(Way, EveryFailingCallInARaceEndsInOneCompletionAndLeavesNothing) {
  const auto run = [](std::uint64_t fail_at, int error) {
    Town town(fail_at, error);
    town.use({plan_of("exit", {"socks5h://127.0.0.1", "socks5h://127.0.0.2", "socks5h://127.0.0.3"})});
    town.engine().set_route(one_address, engine::SimBehaviour::silent());
    town.engine().set_route(two_address, engine::SimBehaviour::normal(200ms));
    town.serve(two_at, works);
    town.serve("127.0.0.3:1080", works);
    town.start({"exit"});
    (void)town.engine().run_for(1min);
    EXPECT_EQ(town.completions(), 1);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(town.figures(i).under_way, 0U);
    return town.engine().calls();
  };
  EXPECT_GT(engine::sweep_calls(run, {EAGAIN, ECONNRESET, ENOMEM, EMFILE, EIO, ECONNREFUSED, ETIMEDOUT}), 6U);
}

TEST(Way, ARaceEndsWithItsServer) {
  for (int milliseconds = 0; milliseconds < 700; milliseconds += 50) {
    Town town;
    town.use({plan_of("exit", both)});
    town.engine().set_route(one_address, engine::SimBehaviour::silent());
    town.serve(two_at, works);
    town.start({"exit"});
    (void)town.engine().run_for(std::chrono::milliseconds(milliseconds));
    town.way().cancel();
    town.stop();
    (void)town.engine().run_for(1ms);
    EXPECT_EQ(town.completions(), 1) << milliseconds;
    EXPECT_TRUE(town.quiet()) << milliseconds;
  }
}

TEST(Way, CancellingAtAnyTimeCompletesOnceAndBlamesNobody) {
  for (int microseconds = 0; microseconds < 1'000; microseconds += 25) {
    Town town;
    town.use({plan_of("exit", both)});
    town.serve(one_at, works);
    town.start({"exit"});
    (void)town.engine().run_for(std::chrono::microseconds(microseconds));
    town.way().cancel();
    (void)town.engine().run_for(1min);
    EXPECT_EQ(town.completions(), 1) << microseconds;
    EXPECT_EQ(town.figures(0).failures, 0U);
    EXPECT_EQ(town.figures(0).under_way, 0U);
  }
}

TEST(Way, EveryFailingCallEndsInOneCompletionAndLeavesNothing) {
  const auto run = [](std::uint64_t fail_at, int error) {
    Town town(fail_at, error);
    config::Upstream settings;
    settings.probe = 1s;
    town.use({plan_of("exit", both, settings)});
    town.serve(one_at, works);
    town.serve(two_at, works);
    town.start({"exit"});
    (void)town.engine().run_for(1min);
    EXPECT_EQ(town.completions(), 1);
    const std::uint64_t calls = town.engine().calls();
    for (std::size_t i = 0; i < 2; ++i) EXPECT_LE(town.figures(i).under_way, 1U) << "a probe at most";
    return calls;
  };
  EXPECT_GT(engine::sweep_calls(run, {EAGAIN, ECONNRESET, ENOMEM, EMFILE, EIO, ECONNREFUSED, ETIMEDOUT}, 60), 6U);
}

}  // namespace
}  // namespace stile::route
