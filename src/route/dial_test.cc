#include "route/dial.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/sim/sim_engine.h"

namespace stile::route {
namespace {

using namespace std::chrono_literals;
using engine::ConnectFailure;
using engine::IcmpReport;
using engine::SimBehaviour;
using engine::SimEngine;
using engine::Status;

Endpoint at(const std::string& text) {
  return Endpoint::parse(text).value();
}

/// A listener whose connections are accepted by nobody, which the kernel completes all the same.
class Listener {
 public:
  Listener(SimEngine& engine, const Endpoint& where) : engine_(engine) {
    const SimEngine::Bystander bystander(engine_);
    socket_.bind<&Listener::ignore>(this);
    STILE_ASSERT(engine_.listen(socket_, where, {}));
  }
  ~Listener() { engine_.close(socket_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  void ignore(Status) {}
  SimEngine& engine_;
  engine::Socket socket_;
};

/// A dial and what became of it.
class Caller {
 public:
  explicit Caller(SimEngine& engine, bool host_has_ipv6 = true)
      : engine_(engine), dial_(engine, host_has_ipv6 ? &yes : &no) {
    dial_.bind<&Caller::on_dialled>(this);
    socket_.bind<&Caller::ignore>(this);
  }
  ~Caller() { engine_.close(socket_); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  void start(const std::vector<Endpoint>& candidates, const DialLimits& limits = {}) {
    started_ = engine_.now();
    dial_.start(candidates, limits, egress);
    EXPECT_EQ(completions_, 0);
    EXPECT_TRUE(dial_.pending());
  }

  /// Dials to the end; the socket of a connection made is taken.
  Reason run(const std::vector<Endpoint>& candidates, const DialLimits& limits = {}) {
    start(candidates, limits);
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_EQ(completions_, 1);
    return dial_.reason();
  }

  std::vector<std::optional<engine::Egress>> egress;

  [[nodiscard]] Dial& dial() { return dial_; }
  [[nodiscard]] int completions() const { return completions_; }
  [[nodiscard]] Duration took() const { return ended_ - started_; }
  [[nodiscard]] engine::Socket& socket() { return socket_; }

 private:
  static bool yes() noexcept { return true; }
  static bool no() noexcept { return false; }

  void on_dialled(Status) {
    ++completions_;
    ended_ = engine_.now();
    EXPECT_FALSE(dial_.pending());
    if (dial_.reason() == Reason::none) dial_.take(socket_);
  }
  void ignore(Status) {}

  SimEngine& engine_;
  Dial dial_;
  engine::Socket socket_;
  Instant started_{};
  Instant ended_{};
  int completions_ = 0;
};

class DialTest : public testing::Test {
 protected:
  SimEngine engine_{1};
  const Endpoint alive_ = at("192.0.2.1:80");
  const Endpoint alive6_ = at("[2001:db8::1]:80");
  const Endpoint dead_ = at("192.0.2.9:80");
  const Endpoint dead6_ = at("[2001:db8::9]:80");
};

TEST_F(DialTest, ConnectsToTheOneCandidate) {
  const Listener listener(engine_, alive_);
  Caller caller(engine_);
  EXPECT_EQ(caller.run({alive_}), Reason::none);
  EXPECT_EQ(caller.dial().peer(), alive_);
  EXPECT_EQ(engine_.peer_endpoint(caller.socket()), alive_);
  EXPECT_LT(caller.took(), 1ms);
}

TEST_F(DialTest, ASilentFirstCandidateCostsTheStagger) {
  const Listener listener(engine_, alive_);
  engine_.set_route(dead6_.address, SimBehaviour::silent());
  Caller caller(engine_);
  EXPECT_EQ(caller.run({dead6_, alive_}), Reason::none);
  EXPECT_EQ(caller.dial().peer(), alive_);
  EXPECT_GE(caller.took(), 250ms);
  EXPECT_LT(caller.took(), 251ms);
  EXPECT_EQ(engine_.open_sockets(), 2U);  // the listener and the winner
}

TEST_F(DialTest, AFailureStartsTheNextAtOnce) {
  const Listener listener(engine_, alive_);
  engine_.set_route(dead6_.address, SimBehaviour::refused());
  engine_.set_route(dead_.address, SimBehaviour::local_error({ErrorKind::net_unreachable}));
  Caller caller(engine_);
  EXPECT_EQ(caller.run({dead6_, dead_, alive_}), Reason::none);
  EXPECT_LT(caller.took(), 2ms);
}

TEST_F(DialTest, AFailureOfAnEarlierAttemptStartsTheNextAtOnceToo) {
  const Listener listener(engine_, alive_);
  // The first is refused 300 ms after its start, 50 ms after the second was started in its turn.
  engine_.set_route(dead6_.address, SimBehaviour::normal(150ms));
  engine_.set_route(dead_.address, SimBehaviour::silent());
  Caller caller(engine_);
  EXPECT_EQ(caller.run({dead6_, dead_, alive_}), Reason::none);
  EXPECT_GE(caller.took(), 300ms);
  EXPECT_LT(caller.took(), 310ms);
}

TEST_F(DialTest, TheFirstToAnswerWins) {
  const Listener slow(engine_, alive6_);
  const Listener fast(engine_, alive_);
  engine_.set_route(alive6_.address, SimBehaviour::normal(200ms));
  Caller caller(engine_);
  EXPECT_EQ(caller.run({alive6_, alive_}), Reason::none);
  EXPECT_EQ(caller.dial().peer(), alive_);
  EXPECT_GE(caller.took(), 250ms);
  EXPECT_EQ(engine_.open_sockets(), 3U);  // both listeners and the winner
}

TEST_F(DialTest, CandidatesAreTriedInOrder) {
  const Listener first(engine_, alive6_);
  const Listener second(engine_, alive_);
  Caller caller(engine_);
  EXPECT_EQ(caller.run({alive6_, alive_}), Reason::none);
  EXPECT_EQ(caller.dial().peer(), alive6_);
}

TEST_F(DialTest, AllRefused) {
  Caller caller(engine_);
  EXPECT_EQ(caller.run({dead6_, dead_}), Reason::dial_refused);
  EXPECT_EQ(engine_.open_sockets(), 0U);
  EXPECT_EQ(engine_.pending_timers(), 0U);
}

TEST_F(DialTest, OneAddressHasTenSeconds) {
  engine_.set_route(dead_.address, SimBehaviour::silent());
  Caller caller(engine_);
  EXPECT_EQ(caller.run({dead_}), Reason::dial_timeout);
  EXPECT_EQ(caller.took(), 10s);
}

TEST_F(DialTest, AllHaveThirtySeconds) {
  engine_.set_route(Cidr::parse("0.0.0.0/0").value(), SimBehaviour::silent());
  std::vector<Endpoint> candidates;
  for (int i = 1; i <= 16; ++i) candidates.push_back(at("192.0.2." + std::to_string(i) + ":80"));
  const DialLimits slow{.per_address = 10s, .total = 30s, .stagger = 9s};
  Caller caller(engine_);
  EXPECT_EQ(caller.run(candidates, slow), Reason::dial_timeout);
  EXPECT_EQ(caller.took(), 30s);
  EXPECT_EQ(engine_.calls(), 6U);  // started at 0, 9, 10, 19, 20 and 29 s: a timeout starts the next at once
}

TEST_F(DialTest, StartsSixteenAtMost) {
  std::vector<Endpoint> candidates;
  for (int i = 1; i <= 20; ++i) candidates.push_back(at("192.0.2." + std::to_string(i) + ":80"));
  const Listener beyond(engine_, candidates[16]);
  Caller caller(engine_);
  EXPECT_EQ(caller.run(candidates), Reason::dial_refused);
}

TEST_F(DialTest, TheMostSpecificFailureWins) {
  const Endpoint refused = at("192.0.2.1:80");
  const Endpoint expired = at("192.0.2.2:80");
  const Endpoint host = at("192.0.2.3:80");
  const Endpoint net = at("192.0.2.4:80");
  const Endpoint other = at("192.0.2.5:80");
  engine_.set_route(refused.address, SimBehaviour::refused());
  engine_.set_route(expired.address, SimBehaviour::ttl_exceeded(Family::ipv4));
  engine_.set_route(host.address, SimBehaviour::host_unreachable(Family::ipv4));
  engine_.set_route(net.address, SimBehaviour::net_unreachable(Family::ipv4));
  engine_.set_route(other.address, SimBehaviour::local_error({ErrorKind::no_descriptors}));
  const std::vector<std::pair<Endpoint, Reason>> ranked{{refused, Reason::dial_refused},
                                                        {expired, Reason::dial_ttl_expired},
                                                        {host, Reason::dial_host_unreachable},
                                                        {net, Reason::dial_network_unreachable},
                                                        {other, Reason::no_resources}};
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    for (std::size_t j = 0; j < ranked.size(); ++j) {
      Caller caller(engine_);
      const std::size_t best = std::min(i, j);
      EXPECT_EQ(caller.run({ranked[i].first, ranked[j].first}), ranked[best].second) << i << ' ' << j;
      EXPECT_EQ(caller.dial().peer(), ranked[best].first);
    }
  }
}

TEST_F(DialTest, ATimeoutRanksBehindHostUnreachableOnly) {
  engine_.set_route(dead_.address, SimBehaviour::silent());
  engine_.set_route(alive_.address, SimBehaviour::host_unreachable(Family::ipv4));
  engine_.set_route(dead6_.address, SimBehaviour::net_unreachable(Family::ipv6));
  Caller one(engine_);
  EXPECT_EQ(one.run({dead_, alive_}), Reason::dial_host_unreachable);
  Caller two(engine_);
  EXPECT_EQ(two.run({dead6_, dead_}), Reason::dial_timeout);
}

TEST_F(DialTest, CancelEndsTheDialOnce) {
  engine_.set_route(dead_.address, SimBehaviour::silent());
  engine_.set_route(dead6_.address, SimBehaviour::silent());
  Caller caller(engine_);
  caller.start({dead6_, dead_});
  EXPECT_TRUE(engine_.run_for(300ms));
  EXPECT_EQ(engine_.open_sockets(), 2U);
  caller.dial().cancel();
  caller.dial().cancel();
  EXPECT_EQ(caller.completions(), 0);
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(caller.completions(), 1);
  EXPECT_EQ(caller.dial().reason(), Reason::client_reset);
  EXPECT_EQ(caller.took(), 300ms);
  EXPECT_EQ(engine_.open_sockets(), 0U);
  EXPECT_EQ(engine_.pending_timers(), 0U);
}

TEST_F(DialTest, CancelAtOnceAndAfterTheEnd) {
  const Listener listener(engine_, alive_);
  Caller caller(engine_);
  caller.start({alive_});
  caller.dial().cancel();
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(caller.dial().reason(), Reason::client_reset);
  caller.dial().cancel();
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(caller.completions(), 1);
}

// Cancelled after k microseconds for every k until the dial ends by itself: one completion, nothing left.
TEST_F(DialTest, CancelAtEveryMoment) {
  const Listener listener(engine_, alive_);
  engine_.set_route(dead6_.address, SimBehaviour::refused());
  bool connected = false;
  for (int k = 0; !connected && k < 1000; ++k) {
    Caller caller(engine_);
    caller.start({dead6_, alive_});
    EXPECT_TRUE(engine_.run_for(k * 1us));
    caller.dial().cancel();
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_EQ(caller.completions(), 1);
    connected = caller.dial().reason() == Reason::none;
    EXPECT_EQ(engine_.open_sockets(), connected ? 2U : 1U) << k;
  }
  EXPECT_TRUE(connected);
}

TEST_F(DialTest, AConnectionNobodyTakesIsClosed) {
  const Listener listener(engine_, alive_);
  struct Careless {
    explicit Careless(SimEngine& engine) : dial(engine) { dial.bind<&Careless::ignore>(this); }
    void ignore(Status) {}
    Dial dial;
  };
  {
    Careless careless(engine_);
    careless.dial.start(std::vector{alive_}, {});
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_EQ(careless.dial.reason(), Reason::none);
  }
  EXPECT_EQ(engine_.open_sockets(), 1U);
}

// Style habit 16: count the calls of a dial, then fail each in turn.
TEST_F(DialTest, EveryFailingCallLeavesNothing) {
  engine_.set_route(dead6_.address, SimBehaviour::silent());
  engine_.set_route(dead_.address, SimBehaviour::refused());
  const auto calls_of_a_dial = [this](std::uint64_t failing, ErrorKind kind) {
    SimEngine engine(7);
    const Listener listener(engine, alive_);
    engine.set_route(dead6_.address, SimBehaviour::silent());
    if (failing != 0) engine.fail_nth(engine.calls() + failing, {kind});
    const std::uint64_t before = engine.calls();
    {
      Caller caller(engine);
      const Reason reason = caller.run({dead6_, dead_, alive_});
      const bool connected = reason == Reason::none;
      EXPECT_EQ(caller.socket().is_open(), connected);
      EXPECT_EQ(engine.open_sockets(), connected ? 2U : 1U);
      EXPECT_EQ(engine.pending_timers(), 0U);
    }
    EXPECT_EQ(engine.open_sockets(), 1U);
    return engine.calls() - before;
  };
  const std::uint64_t calls = calls_of_a_dial(0, ErrorKind::other);
  EXPECT_GE(calls, 3U);
  for (std::uint64_t failing = 1; failing <= calls; ++failing) {
    for (int kind = 0; kind < error_kind_count; ++kind) calls_of_a_dial(failing, static_cast<ErrorKind>(kind));
  }
}

// Any network at all: one completion, a reason that fits, nothing left.
TEST(DialSimulation, RandomNetworks) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    engine::SimFaults faults;
    faults.connect_failure = 0.3;
    faults.late_completion = 0.3;
    faults.spurious_ready = 0.2;
    faults.shuffle_completions = true;
    faults.latency_max = 400ms;
    SimEngine engine(seed, faults);
    const Listener listener(engine, at("192.0.2.1:80"));
    {
      Caller caller(engine);
      std::vector<Endpoint> candidates;
      for (std::uint64_t i = 0; i <= seed % 5; ++i) candidates.push_back(at("192.0.2." + std::to_string(i) + ":80"));
      caller.start(candidates);
      if (seed % 3 == 0) {
        EXPECT_TRUE(engine.run_for(std::chrono::milliseconds(engine.random() % 1000)));
        caller.dial().cancel();
      }
      EXPECT_TRUE(engine.run_until_idle());
      ASSERT_EQ(caller.completions(), 1) << "seed " << seed;
      ASSERT_EQ(caller.dial().reason() == Reason::none, caller.socket().is_open()) << "seed " << seed;
      ASSERT_LE(caller.took(), 30s + faults.late_max) << "seed " << seed;
    }
    ASSERT_EQ(engine.open_sockets(), 1U) << "seed " << seed;
  }
}

struct ReasonRow {
  ErrorKind kind;
  std::optional<IcmpReport> icmp;
  Family family;
  Reason reason;
};

IcmpReport v4(int type, int code) {
  return {.family = Family::ipv4,
          .type = static_cast<std::uint8_t>(type),
          .code = static_cast<std::uint8_t>(code),
          .offender = {}};
}
IcmpReport v6(int type, int code) {
  IcmpReport report = v4(type, code);
  report.family = Family::ipv6;
  return report;
}

TEST(DialReason, IsTheTableOfOutcomes) {  // protocol reference, section 2.5
  constexpr auto ipv4 = Family::ipv4;
  constexpr auto ipv6 = Family::ipv6;
  const std::vector<ReasonRow> rows{
      {ErrorKind::refused, {}, ipv4, Reason::dial_refused},
      {ErrorKind::refused, v4(3, 3), ipv4, Reason::dial_refused},
      {ErrorKind::reset, {}, ipv6, Reason::dial_refused},
      {ErrorKind::net_unreachable, {}, ipv4, Reason::dial_network_unreachable},
      {ErrorKind::net_unreachable, v4(3, 0), ipv4, Reason::dial_network_unreachable},
      {ErrorKind::invalid, {}, ipv6, Reason::dial_network_unreachable},
      {ErrorKind::host_unreachable, {}, ipv4, Reason::dial_host_unreachable},
      {ErrorKind::host_unreachable, v4(3, 1), ipv4, Reason::dial_host_unreachable},
      {ErrorKind::host_unreachable, v4(3, 13), ipv4, Reason::dial_host_unreachable},
      {ErrorKind::host_unreachable, v4(11, 0), ipv4, Reason::dial_ttl_expired},
      {ErrorKind::host_unreachable, v6(3, 0), ipv6, Reason::dial_ttl_expired},
      {ErrorKind::host_unreachable, v4(3, 0), ipv4, Reason::dial_host_unreachable},
      {ErrorKind::not_permitted, v6(1, 1), ipv6, Reason::dial_host_unreachable},
      {ErrorKind::not_permitted, v6(1, 5), ipv6, Reason::dial_host_unreachable},
      {ErrorKind::not_permitted, {}, ipv6, Reason::dial_forbidden},
      {ErrorKind::not_permitted, {}, ipv4, Reason::dial_forbidden},
      {ErrorKind::protocol, v4(12, 0), ipv4, Reason::dial_host_unreachable},
      {ErrorKind::message_too_big, v4(3, 4), ipv4, Reason::dial_host_unreachable},
      {ErrorKind::timed_out, {}, ipv4, Reason::dial_timeout},
      {ErrorKind::family_unsupported, {}, ipv6, Reason::dial_family_off},
      {ErrorKind::address_unavailable, {}, ipv4, Reason::dial_no_ports},
      {ErrorKind::address_unavailable, {}, ipv6, Reason::dial_no_ports},
      {ErrorKind::address_in_use, {}, ipv4, Reason::dial_no_ports},
      {ErrorKind::no_descriptors, {}, ipv4, Reason::no_resources},
      {ErrorKind::no_memory, {}, ipv4, Reason::no_resources},
      {ErrorKind::would_block, {}, ipv4, Reason::dial_failed},
      {ErrorKind::not_found, {}, ipv4, Reason::dial_failed},
      {ErrorKind::canceled, {}, ipv4, Reason::dial_failed},
      {ErrorKind::other, {}, ipv4, Reason::dial_failed},
  };
  for (const ReasonRow& row : rows) {
    const ConnectFailure failure{.error = {row.kind}, .icmp = row.icmp};
    EXPECT_EQ(dial_reason(failure, row.family, true), row.reason) << static_cast<int>(row.kind);
  }
  for (int kind = 0; kind < error_kind_count; ++kind) {
    const auto has_kind = [kind](const ReasonRow& row) { return row.kind == static_cast<ErrorKind>(kind); };
    EXPECT_TRUE(std::ranges::any_of(rows, has_kind)) << kind;
  }
}

TEST(DialReason, WhatAnEgressLacksIsItsOwnReason) {
  for (const ErrorKind kind : {ErrorKind::address_unavailable, ErrorKind::not_found, ErrorKind::not_permitted}) {
    const ConnectFailure failure{.error = {kind}, .icmp = {}, .egress = true};
    EXPECT_EQ(dial_reason(failure, Family::ipv4, true), Reason::dial_egress);
  }
  const ConnectFailure full{.error = {ErrorKind::no_memory}, .icmp = {}, .egress = true};
  EXPECT_EQ(dial_reason(full, Family::ipv4, true), Reason::no_resources);
}

TEST_F(DialTest, LeavesByTheInterfaceAndWithTheMarkThatAreAskedFor) {
  const Listener listener(engine_, alive_);
  const engine::Egress by_eth1{.interface = *InterfaceName::parse("eth1")};
  Caller missing(engine_);
  missing.egress = {by_eth1};
  EXPECT_EQ(missing.run({alive_}), Reason::dial_egress);
  engine_.add_interface(by_eth1.interface);
  Caller there(engine_);
  there.egress = {by_eth1};
  EXPECT_EQ(there.run({alive_}), Reason::none);
  engine_.set_marks_refused(true);
  Caller marked(engine_);
  marked.egress = {engine::Egress{.mark = 7}};
  EXPECT_EQ(marked.run({alive_}), Reason::dial_egress);
}

TEST_F(DialTest, FromAnAddressOfOneFamilyNothingOfTheOtherIsReached) {
  const Listener listener(engine_, alive_);
  const Listener other(engine_, dead6_);
  engine_.set_own_address(Address::v4(198, 51, 100, 7));
  const engine::Egress from{.address = Address::v4(198, 51, 100, 7)};
  Caller caller(engine_);
  caller.egress = {from, from};
  EXPECT_EQ(caller.run({dead6_, alive_}), Reason::none);
  EXPECT_EQ(caller.dial().peer(), alive_);
  Caller alone(engine_);
  alone.egress = {from};
  EXPECT_EQ(alone.run({dead6_}), Reason::dial_family_off);
}

TEST(DialReason, AHostWithoutIpv6IsNotOutOfPorts) {
  const ConnectFailure failure{.error = {ErrorKind::address_unavailable}, .icmp = {}};
  EXPECT_EQ(dial_reason(failure, Family::ipv6, false), Reason::dial_network_unreachable);
  EXPECT_EQ(dial_reason(failure, Family::ipv4, false), Reason::dial_no_ports);
}

TEST_F(DialTest, AsksForIpv6OnlyOfIpv6Candidates) {
  engine_.set_route(dead6_.address, SimBehaviour::local_error({ErrorKind::address_unavailable}));
  engine_.set_route(dead_.address, SimBehaviour::local_error({ErrorKind::address_unavailable}));
  Caller with(engine_, true);
  EXPECT_EQ(with.run({dead6_}), Reason::dial_no_ports);
  Caller without(engine_, false);
  EXPECT_EQ(without.run({dead6_}), Reason::dial_network_unreachable);
  Caller other(engine_, false);
  EXPECT_EQ(other.run({dead_}), Reason::dial_no_ports);
}

}  // namespace
}  // namespace stile::route
