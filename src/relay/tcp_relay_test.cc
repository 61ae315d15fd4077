// The relay's contract, on both engines: nothing lost, added or reordered; FIN as FIN, RST as RST; back-pressure; an
// idle tunnel holds nothing. Gates R9, R10; threats TX3, TX4, TX7.
#include "relay/tcp_relay.h"

#include <gtest/gtest.h>

#include <memory>

#include "engine/epoll/epoll_engine.h"
#include "engine/sim/sim_engine.h"
#include "relay/relay_rig_for_tests.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;

struct Epoll {
  static std::unique_ptr<engine::Engine> create() { return std::move(*engine::EpollEngine::create()); }
};
struct Sim {
  static std::unique_ptr<engine::Engine> create() { return std::make_unique<engine::SimEngine>(1); }
};

template <class Factory>
class TcpRelay : public testing::Test {
 protected:
  std::unique_ptr<engine::Engine> engine = Factory::create();
};
using Engines = testing::Types<Epoll, Sim>;
TYPED_TEST_SUITE(TcpRelay, Engines);

TYPED_TEST(TcpRelay, CarriesBothWaysAndEndsInOrder) {
  RelayRig rig(*this->engine);
  rig.begin();
  rig.client.send("ping");
  rig.target.send("pong");
  rig.run_until([&] { return rig.target.received() == "ping" && rig.client.received() == "pong"; });
  EXPECT_EQ(rig.relay.parked_octets(), 0U);
  rig.client.fin();
  rig.run_until([&] { return rig.target.saw_fin(); });
  EXPECT_FALSE(rig.client.saw_fin());
  rig.target.fin();
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.end->reason, Reason::fin_client);
  EXPECT_EQ(rig.end->octets_up, 4U);
  EXPECT_EQ(rig.end->octets_down, 4U);
  EXPECT_EQ(rig.end->context, &rig);
  rig.run_until([&] { return rig.client.saw_fin(); });
}

TYPED_TEST(TcpRelay, EarlyDataComesFirst) {
  RelayRig rig(*this->engine);
  rig.client.send(" world");
  rig.begin("hello");
  rig.run_until([&] { return rig.target.received() == "hello world"; });
}

TYPED_TEST(TcpRelay, AWatchedTunnelCarriesTheSameAndShowsItsRequests) {
  RelayRig rig(*this->engine);
  const std::string first = "POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 3000000\r\n\r\n";
  const std::string second = "GET /c HTTP/1.1\r\nHost: b\r\n\r\n";
  const std::string up = first + pattern(3'000'000, 1) + second;
  const std::string down = pattern(3'000'000, 2);
  rig.begin(up.substr(0, 20), Watch::requests_and_hello);
  rig.client.send(up.substr(20));
  rig.target.send(down);
  rig.run_until(
      [&] { return rig.target.received().size() == up.size() && rig.client.received().size() == down.size(); });
  EXPECT_TRUE(rig.target.received() == up && rig.client.received() == down);
  EXPECT_EQ(rig.seen, "POST http://b/a\nGET http://b/c\n");
  rig.client.send("\x16 no longer HTTP");
  rig.run_until([&] { return rig.target.received().size() > up.size(); });
  rig.client.send(second);
  rig.run_until([&] { return rig.target.received().ends_with(second); });
  EXPECT_EQ(rig.seen, "POST http://b/a\nGET http://b/c\n");
}

TYPED_TEST(TcpRelay, ATunnelThatEndsTakesItsWatchAlong) {
  RelayRig rig(*this->engine);
  rig.begin({}, Watch::requests_and_hello);
  rig.client.send("GET /a HT");
  rig.run_until([&] { return !rig.target.received().empty(); });
  rig.client.reset();
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.seen, "");
}

// Deviation 3: half-close must not end the other direction.
TYPED_TEST(TcpRelay, AHalfClosedTunnelStillCarries) {
  const std::string up = pattern(8 << 20, 1);
  const std::string down = pattern(8 << 20, 2);
  RelayRig rig(*this->engine);
  rig.begin();
  rig.client.send(up);
  rig.client.fin();
  rig.run_until([&] { return rig.target.saw_fin(); });
  EXPECT_TRUE(rig.target.received() == up);
  rig.target.send(down);
  rig.target.fin();
  rig.run_until([&] { return rig.client.saw_fin(); });
  EXPECT_TRUE(rig.client.received() == down);
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.end->octets_up, up.size());
  EXPECT_EQ(rig.end->octets_down, down.size());
}

TYPED_TEST(TcpRelay, BulkBothWaysAtOnce) {
  const std::string up = pattern(12 << 20, 3);
  const std::string down = pattern(12 << 20, 4);
  RelayRig rig(*this->engine);
  rig.begin();
  rig.client.send(up);
  rig.target.send(down);
  rig.client.fin();
  rig.target.fin();
  rig.run_until([&] { return rig.client.saw_fin() && rig.target.saw_fin() && rig.end.has_value(); });
  EXPECT_TRUE(rig.target.received() == up);
  EXPECT_TRUE(rig.client.received() == down);
  EXPECT_EQ(rig.relay.parked_octets(), 0U);
}

TYPED_TEST(TcpRelay, AResetTravelsAsAReset) {
  for (const bool client_resets : {true, false}) {
    RelayRig rig(*this->engine);
    rig.begin();
    rig.client.send("x");
    rig.run_until([&] { return rig.target.received() == "x"; });
    (client_resets ? rig.client : rig.target).reset();
    Peer& other = client_resets ? rig.target : rig.client;
    rig.run_until([&] { return other.saw_reset(); });
    EXPECT_FALSE(other.saw_fin());
    ASSERT_TRUE(rig.end.has_value());
    EXPECT_EQ(rig.end->reason, client_resets ? Reason::reset_client : Reason::reset_target);
  }
}

// A side that has sent its FIN is not read any more; its reset must be noticed all the same, and not waited on for
// ever.
TYPED_TEST(TcpRelay, AResetBehindAFinTravels) {
  for (const bool client_resets : {true, false}) {
    RelayRig rig(*this->engine);
    rig.begin();
    Peer& resetting = client_resets ? rig.client : rig.target;
    Peer& other = client_resets ? rig.target : rig.client;
    resetting.fin();
    rig.run_until([&] { return other.saw_fin(); });
    resetting.reset();
    rig.run_until([&] { return rig.end.has_value() && other.saw_reset(); });
    EXPECT_EQ(rig.end->reason, client_resets ? Reason::reset_client : Reason::reset_target);
  }
}

TYPED_TEST(TcpRelay, AResetIsNoticedWhileTheOtherSideStandsStill) {
  RelayRig rig(*this->engine);
  rig.begin();
  rig.target.pause_reading();
  rig.client.send(pattern(16 << 20, 5));
  rig.run_until([&] { return rig.relay.parked_octets() > 0; });
  rig.client.reset();
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.end->reason, Reason::reset_client);
  EXPECT_EQ(rig.relay.parked_octets(), 0U);
}

TYPED_TEST(TcpRelay, ASlowReaderStopsItsWriterAndLosesNothing) {
  const std::string down = pattern(24 << 20, 6);
  RelayRig rig(*this->engine);
  rig.begin();
  rig.client.pause_reading();
  rig.target.send(down);
  std::size_t before = 0;
  rig.run_until([&] { return std::exchange(before, rig.target.unsent()) == rig.target.unsent() && before > 0; });
  EXPECT_GT(rig.target.unsent(), 0U);
  EXPECT_LE(rig.relay.parked_octets(), 2 * limits::parked_octets_per_direction_max);
  rig.client.send("the other direction is not held up");
  rig.run_until([&] { return !rig.target.received().empty(); });
  rig.client.resume_reading();
  rig.run_until([&] { return rig.client.received().size() == down.size(); });
  EXPECT_TRUE(rig.client.received() == down);
  EXPECT_EQ(rig.relay.parked_octets(), 0U);
}

TYPED_TEST(TcpRelay, ParkedOctetsAreBoundedForAll) {
  RelayRig rig(*this->engine, {.parked_octets_max = 64 * 1024});
  rig.begin();
  rig.client.pause_reading();
  const std::string down = pattern(24 << 20, 7);
  rig.target.send(down);
  std::size_t before = 0;
  rig.run_until([&] { return std::exchange(before, rig.target.unsent()) == rig.target.unsent() && before > 0; });
  EXPECT_LE(rig.relay.parked_octets(), limits::parked_octets_per_direction_max);
  rig.client.resume_reading();
  rig.run_until([&] { return rig.client.received().size() == down.size(); });
  EXPECT_TRUE(rig.client.received() == down);
}

TYPED_TEST(TcpRelay, AnIdleTunnelEndsAtItsLimit) {
  RelayRig rig(*this->engine, {.idle = 50ms});
  rig.begin();
  rig.client.send("x");
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.end->reason, Reason::idle);
  EXPECT_EQ(rig.end->octets_up, 1U);
}

TYPED_TEST(TcpRelay, NewLimitsHoldForLiveTunnels) {
  for (const bool half_closed : {false, true}) {
    RelayRig rig(*this->engine, {.idle = Duration::zero(), .half_closed = Duration::zero()});
    rig.begin();
    if (half_closed) rig.client.fin();
    rig.run_for(100ms);
    EXPECT_FALSE(rig.end.has_value());
    rig.relay.set_limits({.idle = half_closed ? Duration::zero() : 50ms, .half_closed = 50ms});
    rig.run_until([&] { return rig.end.has_value(); });
    EXPECT_EQ(rig.end->reason, Reason::idle);
  }
}

TYPED_TEST(TcpRelay, AHalfClosedTunnelWithoutOctetsEndsAtItsLimit) {
  RelayRig rig(*this->engine, {.half_closed = 50ms});
  rig.begin();
  rig.run_for(100ms);
  EXPECT_FALSE(rig.end.has_value());  // nothing was closed yet
  rig.client.fin();
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.end->reason, Reason::idle);
}

TYPED_TEST(TcpRelay, EndingAllEndsQuietTunnelsInOrder) {
  RelayRig rig(*this->engine);
  rig.begin();
  rig.client.send("x");
  rig.run_until([&] { return rig.target.received() == "x"; });
  rig.run_for(quiet_before_fin);
  rig.relay.end_all(Reason::drain);
  rig.run_until([&] { return rig.client.saw_fin() && rig.target.saw_fin(); });
  EXPECT_EQ(rig.end->reason, Reason::drain);
  EXPECT_FALSE(rig.client.saw_reset());
}

// Octets may have arrived that no turn has seen: a cut stream must not look complete.
TYPED_TEST(TcpRelay, EndingAllResetsBusyTunnels) {
  RelayRig rig(*this->engine);
  rig.begin();
  rig.client.send("x");
  rig.run_until([&] { return rig.target.received() == "x"; });
  rig.client.send("cut off");
  rig.relay.end_all(Reason::drain);
  rig.run_until([&] { return rig.target.saw_reset(); });
  EXPECT_FALSE(rig.target.saw_fin());
}

// A server that answers early and resets: what it said still arrives.
TYPED_TEST(TcpRelay, WhatCameBeforeAResetIsDelivered) {
  RelayRig rig(*this->engine);
  rig.begin();
  rig.target.send("413 too large");
  rig.run_until([&] { return rig.target.unsent() == 0; });
  rig.target.reset();
  rig.client.send("more of the body");
  rig.run_until([&] { return rig.end.has_value() && rig.client.saw_reset(); });
  EXPECT_EQ(rig.client.received(), "413 too large");
}

}  // namespace
}  // namespace stile::relay
