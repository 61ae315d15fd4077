// Associations opened in turn, through hops that follow a script: what is asked of whom, where the relays are, who
// takes whose place, what a lost stream makes of the way; and that nothing is left behind, each call of the engine
// failing in turn.
#include "route/datagram_way.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/sim/call_sweep_for_tests.h"
#include "route/proxy_for_tests.h"
#include "sys/errno_table.h"

namespace stile::route {
namespace {

using namespace std::chrono_literals;
using engine::Status;

const std::string greeting = octets({5, 1, 0});
const std::string method = octets({5, 0});
const std::string associate = octets({5, 3, 0, 1, 0, 0, 0, 0, 0, 0});
const std::string to_far = octets({5, 1, 0, 1, 203, 0, 113, 1, 4, 56});
const std::string connected = octets({5, 0, 0, 1, 198, 51, 100, 7, 0x9C, 0x40});

std::string relay_at(std::initializer_list<int> address, int port = 0x2345) {
  std::string reply = octets({5, 0, 0, address.size() == 4 ? 1 : 4}) + octets(address);
  return reply + octets({port >> 8, port & 0xFF});
}
std::string refusal(int code) {
  return octets({5, code, 0, 1, 0, 0, 0, 0, 0, 0});
}
Script grants(const std::string& reply) {
  return {.turns = {{greeting, method}, {associate, reply}}};
}
/// A stream through a first hop to a second one.
Script leads(const std::string& reply, const std::string& request = to_far) {
  return {.turns = {{greeting, method}, {request, connected}, {greeting, method}, {associate, reply}}};
}

/// Takes any number of connections at once; each visit has its own script, the last one those behind it too.
class Host {
 public:
  Host(engine::SimEngine& engine, const Endpoint& at, std::vector<Script> scripts)
      : engine_(engine), scripts_(std::move(scripts)) {
    const engine::SimEngine::Bystander bystander(engine_);
    listener_.bind<&Host::on_accept>(this);
    STILE_ASSERT(engine_.listen(listener_, at, {}));
    engine_.wait(listener_, engine::Interest::readable);
  }
  void close_all() {
    engine_.close(listener_);
    for (const auto& visit : visits_) engine_.close(visit->socket);
  }
  /// The end of the stream of one visit.
  void fin(std::size_t visit) {
    const engine::SimEngine::Bystander bystander(engine_);
    (void)engine_.shutdown_write(visits_.at(visit)->socket);
  }
  void say(std::size_t visit, const std::string& text) { send(*visits_.at(visit), text); }
  void reset(std::size_t visit) { engine_.abort(visits_.at(visit)->socket); }
  [[nodiscard]] const std::string& heard(std::size_t visit) const { return visits_.at(visit)->heard; }
  [[nodiscard]] std::size_t visitors() const { return visits_.size(); }
  [[nodiscard]] std::size_t present() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(visits_, [](const auto& visit) { return visit->socket.is_open(); }));
  }

 private:
  struct Visit {
    Visit(Host& of, const Script& its) : host(of), script(its) { socket.bind<&Visit::on_ready>(this); }
    void on_ready(Status) { host.on_ready(*this); }
    Host& host;
    const Script& script;
    engine::Socket socket;
    std::string heard;
    std::size_t used = 0;
    std::size_t turn = 0;
  };

  void on_accept(Status) {
    const engine::SimEngine::Bystander bystander(engine_);
    if (!listener_.is_open()) return;
    const Script& script = scripts_[std::min(visits_.size(), scripts_.size() - 1)];
    auto visit = std::make_unique<Visit>(*this, script);
    if (engine_.try_accept(listener_, visit->socket)) {
      visits_.push_back(std::move(visit));
      engine_.wait(visits_.back()->socket, engine::Interest::readable);
    }
    engine_.wait(listener_, engine::Interest::readable);
  }
  void on_ready(Visit& visit) {
    const engine::SimEngine::Bystander bystander(engine_);
    if (!visit.socket.is_open()) return;
    std::array<std::uint8_t, 1024> buffer;
    const auto received = engine_.receive(visit.socket, buffer);
    if (received ? *received == 0 : received.error().kind != ErrorKind::would_block) return engine_.close(visit.socket);
    if (received) visit.heard.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*received));
    const std::vector<Turn>& turns = visit.script.turns;
    while (visit.turn < turns.size() && visit.heard.size() - visit.used >= turns[visit.turn].hears.size()) {
      visit.used += turns[visit.turn].hears.size();
      send(visit, turns[visit.turn++].says);
    }
    if (visit.turn == turns.size() && visit.script.end == Script::End::fin) return engine_.close(visit.socket);
    engine_.wait(visit.socket, engine::Interest::readable);
  }
  void send(Visit& visit, const std::string& text) {
    const engine::SimEngine::Bystander bystander(engine_);
    if (text.empty()) return;
    (void)engine_.send(visit.socket, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }

  engine::SimEngine& engine_;
  std::vector<Script> scripts_;
  engine::Socket listener_;
  std::vector<std::unique_ptr<Visit>> visits_;
};

/// Upstreams in a small world, and a way through them.
class Town {
 public:
  explicit Town(std::uint64_t fail_at = 0, int error = EIO)
      : upstreams_(rig_.engine, rig_.resolver), way_(rig_.engine, rig_.resolver, upstreams_) {
    way_.bind<&Town::on_changed>(this);
    if (fail_at != 0) rig_.engine.fail_nth(fail_at, sys::make_error(error));
  }
  ~Town() {
    way_.close();
    upstreams_.stop();
    (void)rig_.engine.run_for(1s);
    for (auto& [at, host] : hosts_) host->close_all();
    (void)rig_.engine.run_until_idle();
    EXPECT_FALSE(way_.pending());
  }
  Town(const Town&) = delete;
  Town& operator=(const Town&) = delete;

  Host& serve(std::string_view at, std::vector<Script> scripts) {
    auto& host = hosts_[std::string(at)];
    STILE_ASSERT(host == nullptr);
    host = std::make_unique<Host>(rig_.engine, Endpoint::parse(at).value(), std::move(scripts));
    return *host;
  }
  void add_name(const std::string& name, const std::string& address) {
    rig_.add_name(name, {Address::parse(address).value()});
  }
  void use(const UpstreamPlans& plans) { upstreams_.use(plans); }
  void start(const std::vector<std::string>& via, const EgressSettings& egress = {}) {
    via_ = via;
    Ask ask;
    ask.egress = egress;
    const int before = changes_;
    way_.start(via_, ask, {}, 30s);
    EXPECT_EQ(changes_, before) << "told inline";
  }
  /// Until it is open or closed.
  bool go(const std::vector<std::string>& via) {
    start(via);
    (void)rig_.engine.run_for(1min);
    EXPECT_TRUE(way_.is_open() || way_.is_closed());
    return way_.is_open();
  }
  void run() { (void)rig_.engine.run_for(10ms); }
  [[nodiscard]] UpstreamGroup::Figures figures(std::size_t server) const {
    return upstreams_.figures()[server].figures;
  }
  [[nodiscard]] DatagramWay& way() { return way_; }
  [[nodiscard]] int changes() const { return changes_; }
  [[nodiscard]] engine::SimEngine& engine() { return rig_.engine; }
  [[nodiscard]] std::string outer() {
    const ConstBytes outer = way_.headers().outer();
    return {outer.begin(), outer.end()};
  }

 private:
  void on_changed(Status) { ++changes_; }

  ClientRig rig_;
  Upstreams upstreams_;
  std::map<std::string, std::unique_ptr<Host>> hosts_;
  std::vector<std::string> via_;
  DatagramWay way_;
  int changes_ = 0;
};

const std::string one_at = "127.0.0.1:1080";
const std::string two_at = "127.0.0.2:1080";
const std::vector<std::string> both{"socks5h://127.0.0.1", "socks5h://127.0.0.2"};
const UpstreamPlans near_and_far{plan_of("near", {"socks5h://127.0.0.1"}), plan_of("far", {"socks5h://203.0.113.1"})};

TEST(DatagramWay, OfOneHopItsRelayIsSentTo) {
  Town town;
  town.use({plan_of("exit", both)});
  Host& host = town.serve(one_at, {grants(relay_at({127, 0, 0, 1}))});
  ASSERT_TRUE(town.go({"exit"}));
  EXPECT_EQ(host.heard(0), greeting + associate) << "zeros: where we send from is not known yet";
  EXPECT_EQ(town.way().relay().to_string(), "127.0.0.1:9029");
  EXPECT_TRUE(town.way().headers().outer().empty());
  EXPECT_EQ(town.way().from().address, Address::v4(127, 0, 0, 1));
  EXPECT_EQ(town.way().text(), "exit (127.0.0.1:1080)");
  EXPECT_EQ(town.changes(), 1);
  EXPECT_EQ(town.figures(0).sessions, 1U);
  EXPECT_EQ(town.figures(0).attempts, 1U);
  town.way().close();
  EXPECT_EQ(town.figures(0).sessions, 0U);
  town.run();
  EXPECT_TRUE(town.way().is_closed());
  EXPECT_EQ(town.changes(), 2);
  EXPECT_EQ(host.present(), 0U);
}

TEST(DatagramWay, EachFurtherHopHasAStreamOfItsOwnThroughThoseBefore) {
  Town town;
  town.use(near_and_far);
  Host& host = town.serve(one_at, {grants(relay_at({127, 0, 0, 1})), leads(relay_at({203, 0, 113, 1}, 0x0102))});
  ASSERT_TRUE(town.go({"near", "far"}));
  EXPECT_EQ(host.heard(0), greeting + associate);
  EXPECT_EQ(host.heard(1), greeting + to_far + greeting + associate);
  EXPECT_EQ(host.present(), 2U);
  EXPECT_EQ(town.outer(), octets({0, 0, 0, 1, 203, 0, 113, 1, 1, 2}));
  EXPECT_EQ(town.way().text(), "near (127.0.0.1:1080) > far (203.0.113.1:1080)");
  EXPECT_EQ(town.figures(0).sessions + town.figures(1).sessions, 2U);
}

TEST(DatagramWay, ARelayAtNoParticularAddressIsAtTheProxysOwn) {
  const std::string nowhere6 = relay_at({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  const std::string named = octets({5, 0, 0, 3, 5}) + "relay" + octets({0x23, 0x45});
  for (const std::string& nowhere : {relay_at({0, 0, 0, 0}), nowhere6, named}) {
    Town town;
    town.use(near_and_far);
    town.serve(one_at, {grants(nowhere), leads(nowhere)});
    ASSERT_TRUE(town.go({"near", "far"}));
    EXPECT_EQ(town.way().relay().to_string(), "127.0.0.1:9029");
    EXPECT_EQ(town.outer(), octets({0, 0, 0, 1, 203, 0, 113, 1, 0x23, 0x45}));
  }
}

// The hop before knows it by that name, or by the address that we found for it.
TEST(DatagramWay, AHopThatWasNamedIsNamedToTheRelayBefore) {
  const std::string name = "far.example";
  const std::string by_name = octets({5, 1, 0, 3, 11}) + name + octets({4, 56});
  Town town;
  town.use({plan_of("near", {"socks5h://127.0.0.1"}), plan_of("far", {"socks5h://far.example"})});
  town.serve(one_at, {grants(relay_at({127, 0, 0, 1})), leads(relay_at({0, 0, 0, 0}), by_name)});
  ASSERT_TRUE(town.go({"near", "far"}));
  EXPECT_EQ(town.outer(), octets({0, 0, 0, 3, 11}) + name + octets({0x23, 0x45}));

  Town other;
  other.add_name(name, "203.0.113.1");
  other.use({plan_of("near", {"socks5://127.0.0.1"}), plan_of("far", {"socks5h://far.example"})});
  other.serve(one_at, {grants(relay_at({127, 0, 0, 1})), leads(relay_at({0, 0, 0, 0}))});
  ASSERT_TRUE(other.go({"near", "far"}));
  EXPECT_EQ(other.outer(), octets({0, 0, 0, 1, 203, 0, 113, 1, 0x23, 0x45}));
}

// Threat TU6: else whoever runs the upstream chooses which hosts of ours get datagrams.
TEST(DatagramWay, ARelayElsewhereIsNotSentToUnlessTheUpstreamMayHaveOneThere) {
  for (const bool allowed : {false, true}) {
    Town town;
    config::Upstream settings;
    if (allowed) settings.relays.push_back(Cidr::parse("10.0.0.0/24").value());
    town.use({plan_of("exit", {"socks5h://127.0.0.1"}, settings)});
    Host& host = town.serve(one_at, {grants(relay_at({10, 0, 0, 5}))});
    EXPECT_EQ(town.go({"exit"}), allowed);
    if (allowed) {
      EXPECT_EQ(town.way().relay().to_string(), "10.0.0.5:9029");
    } else {
      EXPECT_EQ(town.way().reason(), Reason::upstream_failed);
      EXPECT_EQ(host.present(), 0U);
    }
  }
  Town town;
  town.use({plan_of("exit", {"socks5h://127.0.0.1"})});
  town.serve(one_at, {grants(relay_at({127, 0, 0, 1}, 0))});
  EXPECT_FALSE(town.go({"exit"})) << "port 0";
}

TEST(DatagramWay, WhereAServerFailsOrRefusesAnotherTakesItsPlace) {
  struct Kind {
    const char* name;
    Script script;
    std::uint64_t failures;
  };
  const std::vector<Kind> kinds{
      {"closes", {.turns = {{"", ""}}, .end = Script::End::fin}, 1},
      {"takes no method", {.turns = {{greeting, octets({5, 0xFF})}}}, 1},
      {"is silent", {.turns = {{greeting, ""}, {"never", ""}}}, 1},
      {"does not know UDP", grants(refusal(7)), 0},
      {"does not allow it", grants(refusal(2)), 0},
      {"is at a place that is no relay's", grants(relay_at({10, 0, 0, 5})), 0},
  };
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(kind.name);
    Town town;
    town.use({plan_of("exit", both)});
    town.serve(one_at, {kind.script});
    town.serve(two_at, {grants(relay_at({127, 0, 0, 2}))});
    ASSERT_TRUE(town.go({"exit"}));
    EXPECT_EQ(town.way().text(), "exit (127.0.0.2:1080)");
    EXPECT_EQ(town.figures(0).failures, kind.failures);
    EXPECT_EQ(town.figures(0).under_way + town.figures(1).under_way, 0U);
    EXPECT_EQ(town.figures(0).sessions, 0U);
  }
}

TEST(DatagramWay, WhereNobodyCarriesDatagramsThatIsTheReason) {
  Town town;
  town.use({plan_of("exit", {"socks5h://127.0.0.1"}), plan_of("web", {"http://127.0.0.2"}),
            plan_of("mixed", {"http://127.0.0.2", "socks5h://127.0.0.1"}), plan_of("gone", {"socks5h://127.0.0.9"})});
  town.serve(one_at, {grants(refusal(7)), grants(relay_at({127, 0, 0, 1}))});
  EXPECT_FALSE(town.go({"exit"}));
  EXPECT_EQ(town.way().reason(), Reason::upstream_command);
  EXPECT_FALSE(town.go({"web"})) << "by its protocol, and nobody is dialled";
  EXPECT_EQ(town.way().reason(), Reason::upstream_command);
  EXPECT_TRUE(town.go({"mixed"})) << "one of them does";
  town.way().close();
  town.run();
  EXPECT_FALSE(town.go({"gone"}));
  EXPECT_EQ(town.way().reason(), Reason::upstream_failed);
  EXPECT_FALSE(town.go({"no such upstream"}));
  EXPECT_EQ(town.way().reason(), Reason::upstream_failed);
}

// The first hop's association is kept; where it is the first hop that fails, that of the second goes with it.
TEST(DatagramWay, OfAChainTheHopThatFailsIsReplaced) {
  Town town;
  town.use(
      {plan_of("near", {"socks5h://127.0.0.1"}), plan_of("far", {"socks5h://203.0.113.9", "socks5h://203.0.113.1"})});
  const std::string to_ninth = octets({5, 1, 0, 1, 203, 0, 113, 9, 4, 56});
  Host& host = town.serve(one_at, {grants(relay_at({127, 0, 0, 1})),
                                   {.turns = {{greeting, method}, {to_ninth, refusal(5)}}},
                                   leads(relay_at({203, 0, 113, 1}))});
  ASSERT_TRUE(town.go({"near", "far"}));
  EXPECT_EQ(town.way().text(), "near (127.0.0.1:1080) > far (203.0.113.1:1080)");
  EXPECT_EQ(host.visitors(), 3U);
  EXPECT_EQ(town.figures(0).failures, 0U) << "near";
  EXPECT_EQ(town.figures(1).failures, 1U) << "the first of far";

  Town other;
  other.use({plan_of("near", both), plan_of("far", {"socks5h://203.0.113.1"})});
  Host& first = other.serve(one_at, {grants(relay_at({127, 0, 0, 1})), {.turns = {{"", ""}}, .end = Script::End::fin}});
  Host& second = other.serve(two_at, {grants(relay_at({127, 0, 0, 2})), leads(relay_at({203, 0, 113, 1}))});
  ASSERT_TRUE(other.go({"near", "far"}));
  EXPECT_EQ(other.way().text(), "near (127.0.0.2:1080) > far (203.0.113.1:1080)");
  EXPECT_EQ(other.way().relay().to_string(), "127.0.0.2:9029");
  EXPECT_EQ(first.present(), 0U);
  EXPECT_EQ(second.present(), 2U);
}

TEST(DatagramWay, EndsWithAnyOfItsStreamsAndMayBeOpenedAgain) {
  for (std::size_t visit = 0; visit < 2; ++visit) {
    for (const bool by_reset : {false, true}) {
      Town town;
      town.use(near_and_far);
      Host& host = town.serve(one_at, {grants(relay_at({127, 0, 0, 1})), leads(relay_at({203, 0, 113, 1})),
                                       grants(relay_at({127, 0, 0, 1})), leads(relay_at({203, 0, 113, 1}, 9))});
      ASSERT_TRUE(town.go({"near", "far"}));
      host.say(visit, "what nobody asked for");
      town.run();
      EXPECT_TRUE(town.way().is_open()) << "and which is not kept";
      by_reset ? host.reset(visit) : host.fin(visit);
      town.run();
      EXPECT_TRUE(town.way().is_closed());
      EXPECT_EQ(town.way().reason(), Reason::none);
      EXPECT_EQ(town.changes(), 2);
      EXPECT_EQ(town.figures(0).sessions + town.figures(1).sessions, 0U);
      EXPECT_EQ(host.present(), 0U) << "the other stream is closed as well";
      ASSERT_TRUE(town.go({"near", "far"}));
      EXPECT_EQ(town.outer(), octets({0, 0, 0, 1, 203, 0, 113, 1, 0, 9}));
    }
  }
}

TEST(DatagramWay, AStreamThatEndsWhileAnotherIsOpenedEndsTheAttempt) {
  Town town;
  town.use(near_and_far);
  Host& host = town.serve(one_at, {grants(relay_at({127, 0, 0, 1})), {.turns = {{greeting, ""}, {"never", ""}}}});
  town.start({"near", "far"});
  (void)town.engine().run_for(1s);
  ASSERT_EQ(host.visitors(), 2U);
  host.fin(0);
  town.run();
  EXPECT_TRUE(town.way().is_closed());
  EXPECT_EQ(town.way().reason(), Reason::upstream_failed);
  EXPECT_EQ(town.figures(1).under_way, 0U);
}

// What the rule says nothing of, the upstream may; the datagrams leave as the connection to the first hop does.
TEST(DatagramWay, LeavesFromWhereItsRuleOrItsUpstreamSays) {
  Town town;
  auto plan = std::make_shared<UpstreamPlan>();
  plan->settings.name = "exit";
  plan->hops.push_back(proxy_at("socks5h://127.0.0.1"));
  plan->hops.back().egress = {.from = {}, .interface = *InterfaceName::parse("eth2"), .mark = 7};
  town.use({plan});
  town.serve(one_at, {grants(relay_at({127, 0, 0, 1}))});
  const InterfaceName rules = *InterfaceName::parse("eth1");
  town.engine().add_interface(rules);
  town.start({"exit"}, {.from = Cidr::host(Address::v4(127, 0, 0, 77)), .interface = rules});
  (void)town.engine().run_for(1s);
  ASSERT_TRUE(town.way().is_open());
  EXPECT_EQ(town.way().from().address, Address::v4(127, 0, 0, 77));
  EXPECT_FALSE(town.way().from().foreign);
  EXPECT_EQ(town.way().from().interface, rules);
  EXPECT_EQ(town.way().from().mark, 7U);
}

TEST(DatagramWay, LeavesFromOneAddressOfAPrefix) {
  Town town;
  town.use({plan_of("exit", {"socks5h://[::1]"})});
  town.serve("[::1]:1080", {grants(relay_at({0, 0, 0, 0}))});
  const Cidr prefix = *Cidr::parse("2001:db8:7::/48");
  town.start({"exit"}, {.from = prefix});
  (void)town.engine().run_for(1s);
  ASSERT_TRUE(town.way().is_open());
  EXPECT_TRUE(prefix.contains(town.way().from().address.value_or(Address{})));
  EXPECT_TRUE(town.way().from().foreign);
}

TEST(DatagramWay, KnowsWhetherItsUpstreamsAreStillTheSame) {
  Town town;
  town.use(near_and_far);
  town.serve(one_at, {grants(relay_at({127, 0, 0, 1})), leads(relay_at({203, 0, 113, 1}))});
  ASSERT_TRUE(town.go({"near", "far"}));
  town.use(near_and_far);
  EXPECT_TRUE(town.way().is_current());
  town.use({near_and_far[0], plan_of("far", {"socks5h://203.0.113.2"})});
  EXPECT_FALSE(town.way().is_current());
}

TEST(DatagramWay, ClosingAtAnyTimeLeavesNothingAndBlamesNobody) {
  for (int microseconds = 0; microseconds < 3'000; microseconds += 50) {
    SCOPED_TRACE(microseconds);
    Town town;
    town.use(near_and_far);
    Host& host = town.serve(one_at, {grants(relay_at({127, 0, 0, 1})), leads(relay_at({203, 0, 113, 1}))});
    town.start({"near", "far"});
    (void)town.engine().run_for(std::chrono::microseconds(microseconds));
    town.way().close();
    EXPECT_FALSE(town.way().is_open());
    (void)town.engine().run_for(1s);
    EXPECT_TRUE(town.way().is_closed());
    EXPECT_GE(town.changes(), 1);
    EXPECT_EQ(host.present(), 0U);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(town.figures(i).failures + town.figures(i).under_way + town.figures(i).sessions, 0U);
    }
  }
}

TEST(DatagramWay, EveryFailingCallEndsOpenOrClosedAndLeavesNothing) {
  const auto run = [](std::uint64_t fail_at, int error) {
    Town town(fail_at, error);
    town.use({plan_of("near", both), plan_of("far", {"socks5h://203.0.113.1"})});
    town.serve(one_at, {grants(relay_at({127, 0, 0, 1})), leads(relay_at({203, 0, 113, 1}))});
    town.serve(two_at, {grants(relay_at({127, 0, 0, 2})), leads(relay_at({203, 0, 113, 1}))});
    town.start({"near", "far"});
    (void)town.engine().run_for(1min);
    EXPECT_TRUE(town.way().is_open() || town.way().is_closed());
    EXPECT_GE(town.changes(), 1);
    const std::uint64_t calls = town.engine().calls();
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(town.figures(i).under_way, 0U);
    return calls;
  };
  EXPECT_GT(engine::sweep_calls(run, {EAGAIN, ECONNRESET, ENOMEM, EMFILE, EIO, ECONNREFUSED, ETIMEDOUT}), 12U);
}

}  // namespace
}  // namespace stile::route
