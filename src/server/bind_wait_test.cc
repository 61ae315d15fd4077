#include "server/bind_wait.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/sim/sim_engine.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using engine::SimEngine;
using engine::Status;

const Address proxy = *Address::parse("198.51.100.7");
const Address friendly = *Address::parse("203.0.113.9");

/// Somebody who connects, from an address of their choice.
class Peer {
 public:
  Peer(SimEngine& engine, const Address& from, const Endpoint& to) : engine_(engine) {
    const SimEngine::Bystander bystander(engine_);
    socket_.bind<&Peer::on_connected>(this);
    engine_.connect_from(from);
    EXPECT_TRUE(engine_.connect(socket_, to).has_value());
  }
  ~Peer() {
    if (socket_.is_open()) engine_.close(socket_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  [[nodiscard]] bool turned_away() const { return !connected_ || engine_.failed(socket_); }

 private:
  void on_connected(Status) {
    if (socket_.is_open()) connected_ = engine_.connect_result(socket_).has_value();
  }

  SimEngine& engine_;
  engine::Socket socket_;
  bool connected_ = false;
};

BindWait::Rules expecting(std::vector<Address> peers, bool stranger_ends = false) {
  return {.expected = std::move(peers), .admits = [](const Endpoint&) { return true; }, .stranger_ends = stranger_ends};
}

/// A wait and what became of it.
class Waiter {
 public:
  Waiter(SimEngine& engine, relay::LiveSockets& live) : engine_(engine), wait_(engine, live) {
    wait_.bind<&Waiter::on_peer>(this);
  }
  ~Waiter() {
    wait_.cancel();
    if (taken_.is_open()) engine_.close(taken_);
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_FALSE(wait_.pending());
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  Result<Endpoint> start(BindWait::Rules rules, std::uint16_t wanted = 0, const PortRange& ports = {}) {
    return wait_.start(proxy, wanted, ports, std::move(rules));
  }
  void cancel() { wait_.cancel(); }

  [[nodiscard]] std::optional<Reason> reason() const { return reason_; }  // nothing while it waits
  [[nodiscard]] Instant ended() const { return ended_; }
  [[nodiscard]] const BindWait& wait() const { return wait_; }
  [[nodiscard]] bool has_peer() const { return taken_.is_open(); }

 private:
  void on_peer(Status) {
    ended_ = engine_.now();
    reason_ = wait_.reason();
    if (*reason_ == Reason::none) wait_.take(taken_);
  }

  SimEngine& engine_;
  BindWait wait_;
  engine::Socket taken_;
  std::optional<Reason> reason_;
  Instant ended_{};
};

class BindWaitTest : public testing::Test {
 protected:
  SimEngine engine_{1};
  relay::LiveSockets live_;
  Waiter waiter_{engine_, live_};
};

TEST_F(BindWaitTest, ListensWhenItHasStarted) {  // deviation 15: an instant connection is accepted
  const Endpoint where = waiter_.start(expecting({friendly})).value();
  EXPECT_EQ(where.address, proxy);
  EXPECT_NE(where.port, 0);
  EXPECT_TRUE(live_.holds(where)) << "no client is sent to it";
  const Peer peer(engine_, friendly, where);
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(waiter_.reason(), Reason::none);
  EXPECT_EQ(waiter_.wait().peer().address, friendly);
  EXPECT_TRUE(waiter_.has_peer());
  EXPECT_FALSE(live_.holds(where)) << "closed on the first peer";
}

TEST_F(BindWaitTest, AStrangerIsTurnedAwayAndTheWaitGoesOn) {
  const Endpoint where = waiter_.start(expecting({friendly})).value();
  const Peer stranger(engine_, *Address::parse("203.0.113.10"), where);
  EXPECT_TRUE(engine_.run_for(1s));
  EXPECT_TRUE(stranger.turned_away());
  EXPECT_FALSE(waiter_.reason().has_value());
  const Peer peer(engine_, friendly, where);
  EXPECT_TRUE(engine_.run_for(1s));
  EXPECT_EQ(waiter_.reason(), Reason::none);
  EXPECT_EQ(waiter_.wait().strangers(), 1U);
}

TEST_F(BindWaitTest, AStrangerEndsTheWaitOfSocks4) {
  const Endpoint where = waiter_.start(expecting({friendly}, true)).value();
  const Peer stranger(engine_, *Address::parse("203.0.113.10"), where);
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_TRUE(stranger.turned_away());
  EXPECT_EQ(waiter_.reason(), Reason::bind_peer);
}

TEST_F(BindWaitTest, WhomThePolicyRefusesIsAStranger) {
  BindWait::Rules rules = expecting({});
  rules.admits = [](const Endpoint& peer) { return peer.address == friendly; };
  const Endpoint where = waiter_.start(std::move(rules)).value();
  const Peer stranger(engine_, *Address::parse("203.0.113.10"), where);
  EXPECT_TRUE(engine_.run_for(1s));
  EXPECT_FALSE(waiter_.reason().has_value());
  const Peer peer(engine_, friendly, where);
  EXPECT_TRUE(engine_.run_for(1s));
  EXPECT_EQ(waiter_.reason(), Reason::none);
}

TEST_F(BindWaitTest, EndsAtItsLimit) {
  const Instant began = engine_.now();
  const Endpoint where = waiter_.start(expecting({friendly})).value();
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(waiter_.reason(), Reason::bind_timeout);
  EXPECT_EQ(waiter_.ended() - began, limits::bind_wait);
  EXPECT_FALSE(live_.holds(where)) << "and frees its port";
}

TEST_F(BindWaitTest, WithoutADescriptorForThePeerItEndsInsteadOfSpinning) {  // deviation 23
  const Endpoint where = waiter_.start(expecting({friendly})).value();
  engine_.set_descriptor_limit(1);
  const Peer peer(engine_, friendly, where);
  EXPECT_TRUE(engine_.run_for(1s));
  EXPECT_EQ(waiter_.reason(), Reason::no_resources);
}

TEST_F(BindWaitTest, CancellingFreesThePortAtOnce) {
  const Endpoint where = waiter_.start(expecting({friendly})).value();
  waiter_.cancel();
  EXPECT_FALSE(live_.holds(where));
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(engine_.open_sockets(), 0U);
}

TEST_F(BindWaitTest, PortsComeFromTheRange) {
  const PortRange ports{40'000, 40'003};
  const Endpoint wanted = waiter_.start(expecting({friendly}), 40'002, ports).value();
  EXPECT_EQ(wanted.port, 40'002) << "a port of the range is granted when it is asked for";
  Waiter other(engine_, live_);
  const Endpoint drawn = other.start(expecting({friendly}), 50'000, ports).value();
  EXPECT_TRUE(ports.first <= drawn.port && drawn.port <= ports.last && drawn.port != wanted.port) << drawn.port;
}

TEST_F(BindWaitTest, ANearlyFullRangeIsSearchedToItsEnd) {
  const PortRange ports{40'000, 40'127};
  std::vector<engine::Socket> others(ports.size() - 1);
  for (std::size_t i = 0; i < others.size(); ++i) {
    ASSERT_TRUE(engine_.listen(others[i], {proxy, static_cast<std::uint16_t>(ports.first + i)}, {}).has_value());
  }
  EXPECT_EQ(waiter_.start(expecting({friendly}), 0, ports).value().port, ports.last);
  Waiter late(engine_, live_);
  const auto nothing = late.start(expecting({friendly}), 0, ports);
  ASSERT_FALSE(nothing.has_value());
  EXPECT_EQ(nothing.error().kind, ErrorKind::address_in_use);
  for (engine::Socket& other : others) engine_.close(other);
}

// Each call of the engine fails in turn: the wait begins and ends in good order, or does not begin. Nothing stays open.
TEST(BindWaitFaults, NoFailureLeavesAnythingBehind) {
  for (std::uint64_t nth = 1;; ++nth) {
    SimEngine engine{1};
    relay::LiveSockets live;
    engine.fail_nth(nth, {ErrorKind::no_descriptors});
    {
      Waiter waiter(engine, live);
      if (const auto where = waiter.start(expecting({}), 0, {40'000, 40'000})) {
        const Peer peer(engine, friendly, *where);
        EXPECT_TRUE(engine.run_until_idle()) << nth;
        EXPECT_TRUE(waiter.reason().has_value()) << nth;
      }
    }
    EXPECT_FALSE(live.holds({proxy, 40'000})) << nth;
    EXPECT_EQ(engine.open_sockets(), 0U) << nth;
    if (engine.calls() < nth) break;
  }
}

}  // namespace
}  // namespace stile::server
