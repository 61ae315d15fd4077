// A whole worker in the simulation whose rules lead through upstreams: whom BIND is joined with, and that the worker
// ends while it still asks after the upstreams' health.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "route/proxy_for_tests.h"
#include "server/worker_rig_for_tests.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;

const Endpoint server{Address::v4(198, 51, 100, 1), 1080};
const Endpoint upstream{Address::v4(198, 51, 100, 2), 1080};

const Address client = Address::v4(203, 0, 113, 9);
const Address near = Address::v4(203, 0, 113, 20);
const Address far = Address::v4(192, 0, 2, 10);

using route::octets;

std::shared_ptr<const route::UpstreamPlan> plan_of(config::Upstream settings) {
  auto plan = std::make_shared<route::UpstreamPlan>();
  settings.name = "exit";
  settings.servers = {*wire::parse_proxy_url("socks5h://" + upstream.to_string())};
  plan->settings = std::move(settings);
  plan->hops.push_back({.url = plan->settings.servers.front()});
  return plan;
}

class World : public WorkerRig {
 public:
  explicit World(config::Upstream settings, std::string_view rules = "allow anyone to any via exit")
      : WorkerRig(server) {
    auto common = common_of(rules);
    common->upstreams = {plan_of(std::move(settings))};
    start_worker(std::move(common), nullptr);
  }
  ~World() {
    if (proxy_) proxy_->close_all();
    for (TestSocket* const one : {&listener_, &client_, &peer_}) {
      if (one->socket.is_open()) engine_.close(one->socket);
    }
    engine_.run_for(1s);
    end_worker();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] engine::SimEngine& engine() { return engine_; }
  [[nodiscard]] Worker& worker() { return *worker_; }
  /// Takes connections, and says nothing.
  void listen_at_upstream() {
    const engine::SimEngine::Bystander ours(engine_);
    ASSERT_TRUE(engine_.listen(listener_.socket, upstream, {}));
  }
  /// Follows the script.
  route::ScriptedProxy& serve_at_upstream(route::Script script) {
    return proxy_.emplace(engine_, upstream, std::move(script));
  }
  /// What the client hears that asks for this.
  std::string ask(const std::string& octets) {
    connect_from(client, client_);
    engine_.run_for(1s);
    send(client_, octets);
    return hear();
  }
  std::string hear() {
    std::string heard;
    engine_.run_for(1s);
    (void)receive(client_, heard);
    return heard;
  }
  /// Somebody from there goes where the client was told; true unless he is turned away.
  bool visit(const Address& from, const Endpoint& to) {
    {
      const engine::SimEngine::Bystander ours(engine_);
      engine_.connect_from(from);
      EXPECT_TRUE(engine_.connect(peer_.socket, to));
      engine_.connect_from(std::nullopt);
    }
    engine_.run_for(1s);
    const engine::SimEngine::Bystander ours(engine_);
    const bool stays = !engine_.failed(peer_.socket);
    if (!stays) engine_.close(peer_.socket);
    return stays;
  }
  [[nodiscard]] std::uint64_t probes_under_way() const { return worker_->upstream_figures()[0].figures.under_way; }

 private:
  TestSocket listener_;
  TestSocket client_;
  TestSocket peer_;
  std::optional<route::ScriptedProxy> proxy_;
};

config::Upstream probed() {
  config::Upstream settings;
  settings.probe = 10s;
  settings.timeout = 5s;
  return settings;
}

TEST(ThroughUpstreams, AProbeUnderWayDoesNotHoldTheWorkersEnd) {
  for (const bool drains : {false, true}) {
    for (const bool dialling : {false, true}) {
      SCOPED_TRACE(testing::Message() << "drains " << drains << ", dialling " << dialling);
      World world(probed());
      if (dialling) world.engine().set_route(upstream.address, engine::SimBehaviour::silent());
      if (!dialling) world.listen_at_upstream();
      ASSERT_TRUE(world.engine().run_for(11s));
      ASSERT_EQ(world.probes_under_way(), 1U);
      drains ? world.worker().request_drain() : world.worker().request_stop();
      EXPECT_FALSE(world.engine().run_for(1s)) << "it has not stopped its engine";
      EXPECT_EQ(world.probes_under_way(), 0U);
    }
  }
}

TEST(ThroughUpstreams, AProbeThatIsDueDoesNotHoldTheWorkersEnd) {
  World world(probed());
  ASSERT_TRUE(world.engine().run_for(1s));
  ASSERT_EQ(world.probes_under_way(), 0U);
  world.worker().request_stop();
  EXPECT_FALSE(world.engine().run_for(1s)) << "it has not stopped its engine";
}

constexpr std::string_view near_and_far = R"(
far:  allow anyone to bind 192.0.2.0/24 via exit
near: allow anyone to bind 203.0.113.0/24
)";
const std::string bind_for_anybody = octets({5, 1, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0});

/// BND.ADDR and BND.PORT of the SOCKS5 reply that begins there.
Endpoint bound_in(const std::string& heard, std::size_t at) {
  const auto octet = [&](std::size_t i) { return static_cast<std::uint8_t>(heard.at(at + 4 + i)); };
  return {Address::v4(octet(0), octet(1), octet(2), octet(3)), static_cast<std::uint16_t>(octet(4) << 8 | octet(5))};
}

// The rule that would let him in has the client meet him elsewhere, under another address.
TEST(ThroughUpstreams, WhoIsMetThroughAnUpstreamDoesNotComeInDirectly) {
  World world({}, near_and_far);
  const std::string heard = world.ask(bind_for_anybody);
  ASSERT_EQ(heard.size(), 12U);
  const Endpoint there = bound_in(heard, 2);
  EXPECT_FALSE(world.visit(far, there));
  EXPECT_EQ(world.hear(), "");
  EXPECT_TRUE(world.visit(near, there));
  const std::string second = world.hear();
  ASSERT_EQ(second.size(), 10U);
  EXPECT_EQ(bound_in(second, 0).address, near);
}

// The upstream's word on who came is decided as any peer is.
TEST(ThroughUpstreams, WhoCameToAnUpstreamIsDecidedHere) {
  const auto told_of = [](int last_octet, const std::string& network) {
    const std::string waits = octets({5, 0, 0, 1, 198, 51, 100, 2, 0x20, 0});
    const std::string came = octets({5, 0, 0, 1}) + network + octets({last_octet, 0x30, 0});
    World world({}, near_and_far);
    world.serve_at_upstream(
        {.turns = {{octets({5, 1, 0}), octets({5, 0})}, {octets({5, 2, 0, 1, 192, 0, 2, 10, 0, 0}), waits + came}}});
    const std::string heard = world.ask(octets({5, 1, 0, 5, 2, 0, 1, 192, 0, 2, 10, 0, 0}));
    return heard.size() == 22 ? static_cast<int>(heard[13]) : -1;
  };
  EXPECT_EQ(told_of(10, octets({192, 0, 2})), 0);
  EXPECT_EQ(told_of(20, octets({203, 0, 113})), 1) << "whose rule has another way";
  EXPECT_EQ(told_of(7, octets({198, 51, 100})), 1) << "who is denied";
}

}  // namespace
}  // namespace stile::server
