// Tunnels under rates and quotas, in virtual time: exact within 2 % over 10 s, fair, smooth, and nothing for those who
// do not read. On the real engine the octets alone are judged.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "engine/sim/sim_engine.h"
#include "relay/relay_rig_for_tests.h"
#include "relay/tunnel.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;

enum class Way : std::uint8_t { up, down };

/// Many tunnels of one relay, or two, each with a peer at either end.
class Crowd final : public TunnelOwner {
 public:
  using TermsOf = std::function<std::unique_ptr<Terms>(std::size_t tunnel)>;

  explicit Crowd(std::size_t tunnels, const TermsOf& terms, std::size_t relays = 1, const RelayLimits& limits = {}) {
    tick_.bind<&Crowd::on_tick>(this);
    accept_.bind<&Crowd::on_tick>(this);
    for (std::size_t i = 0; i < relays; ++i) relays_.push_back(std::make_unique<Relay>(engine, *this, limits));
    for (std::size_t i = 0; i < tunnels; ++i) open(*relays_[i % relays], terms(i));
  }
  ~Crowd() override {
    for (const auto& pair : pairs_) pair->close();
    for (const auto& relay : relays_) relay->end_all(Reason::drain);
    run_for(1s);
  }

  void send(Way way, std::size_t tunnel, std::size_t octets) {
    Pair& pair = *pairs_[tunnel];
    (way == Way::up ? pair.client : pair.target).send(std::string(octets, 'x'));
  }
  [[nodiscard]] std::size_t received(Way way, std::size_t tunnel) const {
    const Pair& pair = *pairs_[tunnel];
    return (way == Way::up ? pair.target : pair.client).received().size();
  }
  [[nodiscard]] std::vector<std::size_t> received(Way way) const {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < pairs_.size(); ++i) all.push_back(received(way, i));
    return all;
  }
  Peer& client(std::size_t tunnel) { return pairs_[tunnel]->client; }
  Peer& target(std::size_t tunnel) { return pairs_[tunnel]->target; }
  void run_for(Duration duration) {
    engine.start_timer(tick_, engine.now() + duration);
    while (tick_.pending()) engine.run();
  }

  engine::SimEngine engine{1};
  std::vector<TunnelEnd> ends;
  int exceeded = 0;

  void end_exceeded() {
    for (const auto& relay : relays_) relay->end_exceeded();
  }

 private:
  struct Pair {
    explicit Pair(engine::Engine& engine) : client(engine), target(engine) {}
    void close() {
      client.close();
      target.close();
    }
    Peer client;
    Peer target;
  };

  void tunnel_ended(const TunnelEnd& end) noexcept override { ends.push_back(end); }
  void quota_exceeded() noexcept override { ++exceeded; }
  void request_seen(void*, const wire::HttpSighting&) noexcept override {}
  void hello_seen(void*, const wire::TlsClientHello&) noexcept override {}
  void on_tick(engine::Status) { engine.stop(); }

  void open(Relay& relay, std::unique_ptr<Terms> terms) {
    Pair& pair = *pairs_.emplace_back(std::make_unique<Pair>(engine));
    protect::Line to_client;
    protect::Line to_target;
    connect(pair.client, to_client.socket());
    connect(pair.target, to_target.socket());
    relay.start(to_client, to_target, {}, nullptr, Watch::nothing, std::move(terms));
  }
  void connect(Peer& peer, engine::Socket& server_side) {
    ASSERT_TRUE(engine.listen(accept_, {Address::v4(127, 0, 0, 1), 0}, {}).has_value());
    peer.connect(*engine.local_endpoint(accept_));
    run_for(1ms);
    ASSERT_TRUE(engine.try_accept(accept_, server_side).has_value());
    engine.close(accept_);
  }

  engine::Timer tick_;
  engine::Socket accept_;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::vector<std::unique_ptr<Pair>> pairs_;
};

std::size_t sum(const std::vector<std::size_t>& numbers) {
  std::size_t sum = 0;
  for (const std::size_t number : numbers) sum += number;
  return sum;
}

std::vector<std::size_t> less(std::vector<std::size_t> later, const std::vector<std::size_t>& earlier) {
  for (std::size_t i = 0; i < later.size(); ++i) later[i] -= earlier[i];
  return later;
}

Flow& flow_of(Terms& terms, Way way) {
  return way == Way::up ? terms.up : terms.down;
}

constexpr std::size_t rate = 1'000'000;
constexpr double octets_a_second = rate;

void expect_near(std::size_t octets, double wanted, double tolerance, const std::string& what) {
  EXPECT_NEAR(static_cast<double>(octets), wanted, wanted * tolerance) << what;
}

/// Everybody wants twice what there is.
void expect_exact_and_fair(Way way, std::size_t tunnels, std::size_t relays) {
  RateBudget budget(rate);
  Crowd crowd(
      tunnels,
      [&](std::size_t) {
        auto terms = std::make_unique<Terms>();
        flow_of(*terms, way).draw_on(budget);
        return terms;
      },
      relays);
  for (std::size_t i = 0; i < tunnels; ++i) crowd.send(way, i, 24 * rate / tunnels);
  crowd.run_for(1s);
  const auto first = crowd.received(way);
  auto before = sum(first);
  for (int window = 0; window < 100; ++window) {
    crowd.run_for(100ms);
    const auto so_far = sum(crowd.received(way));
    expect_near(so_far - before, octets_a_second / 10, 0.05, "in each tenth of a second");
    before = so_far;
  }
  const auto moved = less(crowd.received(way), first);
  expect_near(sum(moved), 10 * octets_a_second, 0.02, "over 10 s");
  for (const std::size_t one : moved)
    expect_near(one, 10 * octets_a_second / static_cast<double>(tunnels), 0.05, "each");
}

TEST(MeteredRelay, OneTunnelIsExact) {
  expect_exact_and_fair(Way::up, 1, 1);
  expect_exact_and_fair(Way::down, 1, 1);
}

TEST(MeteredRelay, TenTunnelsAreExactAndFair) {
  expect_exact_and_fair(Way::up, 10, 1);
  expect_exact_and_fair(Way::down, 10, 2);
}

TEST(MeteredRelay, AHundredTunnelsAreExactAndFair) {
  expect_exact_and_fair(Way::up, 100, 2);
  expect_exact_and_fair(Way::down, 100, 1);
}

// Reading nothing must not cost others anything, nor must reading slowly cost more than what is read.
TEST(MeteredRelay, ASlowReaderDoesNotEatTheShareOfOthers) {
  RateBudget budget(rate);
  Crowd crowd(10, [&](std::size_t) {
    auto terms = std::make_unique<Terms>();
    terms->down.draw_on(budget);
    return terms;
  });
  for (std::size_t i = 0; i < 10; ++i) crowd.send(Way::down, i, 4 * rate);
  crowd.client(0).pause_reading();
  crowd.run_for(5s);  // until its sockets are full
  const auto first = crowd.received(Way::down);
  crowd.run_for(10s);
  const auto moved = less(crowd.received(Way::down), first);
  EXPECT_EQ(moved[0], 0U);
  expect_near(sum(moved), 10 * octets_a_second, 0.02, "over 10 s");
  for (std::size_t i = 1; i < 10; ++i) expect_near(moved[i], 10 * octets_a_second / 9, 0.05, "each of the others");
}

TEST(MeteredRelay, ATunnelKeepsToAllItsBudgets) {
  for (const std::size_t tunnels : {3U, 20U}) {
    RateBudget whole(rate);
    std::deque<RateBudget> own;
    Crowd crowd(tunnels, [&](std::size_t) {
      auto terms = std::make_unique<Terms>();
      terms->down.draw_on(whole);
      terms->down.draw_on(own.emplace_back(rate / 5));
      return terms;
    });
    for (std::size_t i = 0; i < tunnels; ++i) crowd.send(Way::down, i, 4 * rate);
    crowd.run_for(1s);
    const auto first = crowd.received(Way::down);
    crowd.run_for(10s);
    const auto moved = less(crowd.received(Way::down), first);
    const double each = std::min(octets_a_second / 5, octets_a_second / static_cast<double>(tunnels));
    for (const std::size_t one : moved) expect_near(one, 10 * each, 0.05, "each");
  }
}

// One direction's rate leaves the other alone.
TEST(MeteredRelay, DirectionsHaveRatesOfTheirOwn) {
  RateBudget up(rate);
  RateBudget down(rate / 10);
  Crowd crowd(1, [&](std::size_t) {
    auto terms = std::make_unique<Terms>();
    terms->up.draw_on(up);
    terms->down.draw_on(down);
    return terms;
  });
  crowd.send(Way::up, 0, 12 * rate);
  crowd.send(Way::down, 0, 12 * rate);
  crowd.run_for(10s);
  expect_near(crowd.received(Way::up, 0), 10 * octets_a_second, 0.02, "up");
  expect_near(crowd.received(Way::down, 0), octets_a_second, 0.02, "down");
}

// What interactive use moves is far below the rate, and must not wait for turns that bulk beside it uses up.
TEST(MeteredRelay, ALittleIsNotHeldUpForLong) {
  RateBudget budget(rate);
  Crowd crowd(20, [&](std::size_t) {
    auto terms = std::make_unique<Terms>();
    terms->up.draw_on(budget);
    return terms;
  });
  for (std::size_t i = 1; i < 20; ++i) crowd.send(Way::up, i, 2 * rate);
  crowd.run_for(1s);
  std::size_t said = 0;
  for (int i = 0; i < 20; ++i) {
    crowd.send(Way::up, 0, 100);
    said += 100;
    crowd.run_for(100ms);
    EXPECT_EQ(crowd.received(Way::up, 0), said);
  }
}

TEST(MeteredRelay, AQuotaEndsEveryTunnelOfIt) {
  Quota quota;
  quota.set_most(100'000);
  Crowd crowd(3, [&](std::size_t tunnel) {
    auto terms = std::make_unique<Terms>();
    if (tunnel < 2) terms->quotas.push_back(&quota);
    return terms;
  });
  crowd.send(Way::up, 0, 60'000);
  crowd.send(Way::down, 0, 40'000);
  crowd.run_for(1s);
  EXPECT_TRUE(crowd.ends.empty()) << "all of it may be used";
  EXPECT_TRUE(quota.is_used_up());
  crowd.send(Way::down, 0, 1);
  crowd.run_for(1s);
  EXPECT_EQ(crowd.exceeded, 1);
  ASSERT_EQ(crowd.ends.size(), 1U);
  crowd.end_exceeded();  // as the server does on every worker: the second was idle
  crowd.run_for(1s);
  ASSERT_EQ(crowd.ends.size(), 2U);
  for (const TunnelEnd& end : crowd.ends) EXPECT_EQ(end.reason, Reason::limit_quota);
  crowd.send(Way::up, 2, 1'000'000);
  crowd.run_for(1s);
  EXPECT_EQ(crowd.received(Way::up, 2), 1'000'000U);
}

// A server holds tens of thousands of tunnels idle: terms must cost those nothing that have none.
TEST(MeteredRelay, ATunnelWithoutTermsIsNoLarger) {
  EXPECT_LE(sizeof(Tunnel), 216U);
}

TEST(MeteredRelay, ATunnelHasAnIdleLimitOfItsOwn) {
  Crowd crowd(3,
              [](std::size_t tunnel) -> std::unique_ptr<Terms> {
                if (tunnel == 0) return nullptr;
                auto terms = std::make_unique<Terms>();
                terms->idle = tunnel == 1 ? Duration(1s) : Duration(0s);
                return terms;
              },
              1, {.idle = 10s});
  crowd.run_for(2s);
  ASSERT_EQ(crowd.ends.size(), 1U);
  EXPECT_EQ(crowd.ends[0].reason, Reason::idle);
  crowd.run_for(20s);
  EXPECT_EQ(crowd.ends.size(), 2U) << "off for the third";
}

// A turn that is longer than the idle limit is no idleness.
TEST(MeteredRelay, WaitingForATurnIsNotIdling) {
  RateBudget budget(10);
  Crowd crowd(1, [&](std::size_t) {
    auto terms = std::make_unique<Terms>();
    terms->idle = 20ms;
    terms->up.draw_on(budget);
    return terms;
  });
  crowd.send(Way::up, 0, 100);
  crowd.run_for(5s);
  EXPECT_TRUE(crowd.ends.empty());
  EXPECT_NEAR(static_cast<double>(crowd.received(Way::up, 0)), 50.0, 2.0);
  crowd.run_for(10s);
  ASSERT_EQ(crowd.ends.size(), 1U);
  EXPECT_EQ(crowd.ends[0].reason, Reason::idle);
  EXPECT_EQ(crowd.received(Way::up, 0), 100U);
}

TEST(MeteredRelay, AResetIsNoticedWhileATurnIsAwaited) {
  RateBudget budget(10);
  Crowd crowd(1, [&](std::size_t) {
    auto terms = std::make_unique<Terms>();
    terms->up.draw_on(budget);
    return terms;
  });
  crowd.send(Way::up, 0, 1'000);
  crowd.run_for(1s);
  crowd.client(0).reset();
  crowd.run_for(10ms);
  ASSERT_EQ(crowd.ends.size(), 1U);
  EXPECT_EQ(crowd.ends[0].reason, Reason::reset_client);
}

TEST(MeteredRelay, ATunnelThatFailsInItsTurnGivesTheTurnBack) {
  int failed = 0;
  for (std::uint64_t call = 1; call <= 20; ++call) {
    RateBudget budget(rate);
    Crowd crowd(1, [&](std::size_t) {
      auto terms = std::make_unique<Terms>();
      terms->up.draw_on(budget);
      return terms;
    });
    crowd.engine.fail_nth(crowd.engine.calls() + call, Error{ErrorKind::reset, 0});
    crowd.send(Way::up, 0, 1'000);
    crowd.run_for(1s);
    if (!crowd.ends.empty()) ++failed;
    EXPECT_LE(budget.reserve(1, crowd.engine.now()), crowd.engine.now()) << call;
  }
  EXPECT_GE(failed, 2) << "receiving and sending";
}

// The contract holds under a rate, copied and spliced alike, on both engines.
template <class Factory>
class MeteredTunnel : public testing::Test {
 protected:
  std::unique_ptr<engine::Engine> engine = Factory::create();
};
struct Epoll {
  static std::unique_ptr<engine::Engine> create() { return std::move(*engine::EpollEngine::create()); }
};
struct Sim {
  static std::unique_ptr<engine::Engine> create() { return std::make_unique<engine::SimEngine>(1); }
};
using Engines = testing::Types<Epoll, Sim>;
TYPED_TEST_SUITE(MeteredTunnel, Engines);

TYPED_TEST(MeteredTunnel, LosesNothing) {
  const std::string up = pattern(2 << 20, 1);
  const std::string down = pattern(8 << 20, 2);
  RateBudget slow(8'000'000);
  RateBudget fast(400'000'000);
  RelayRig rig(*this->engine);
  auto terms = std::make_unique<Terms>();
  terms->up.draw_on(slow);
  terms->down.draw_on(fast);
  rig.begin({}, Watch::nothing, std::move(terms));
  rig.client.send(up);
  rig.target.send(down);
  rig.client.fin();
  rig.target.fin();
  rig.run_until([&] { return rig.client.saw_fin() && rig.target.saw_fin() && rig.end.has_value(); });
  EXPECT_TRUE(rig.target.received() == up);
  EXPECT_TRUE(rig.client.received() == down);
  EXPECT_EQ(rig.end->octets_up, up.size());
  EXPECT_EQ(rig.end->octets_down, down.size());
  EXPECT_EQ(rig.relay.parked_octets(), 0U);
}

}  // namespace
}  // namespace stile::relay
