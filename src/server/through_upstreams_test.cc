// A whole worker in the simulation whose rules lead through upstreams: that it ends while it still asks after their
// health.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "server/worker_rig_for_tests.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;

const Endpoint server{Address::v4(198, 51, 100, 1), 1080};
const Endpoint upstream{Address::v4(198, 51, 100, 2), 1080};

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
  explicit World(config::Upstream settings) : WorkerRig(server) {
    auto common = common_of("allow anyone to any via exit");
    common->upstreams = {plan_of(std::move(settings))};
    start_worker(std::move(common), nullptr);
  }
  ~World() {
    if (listener_.socket.is_open()) engine_.close(listener_.socket);
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
  [[nodiscard]] std::uint64_t probes_under_way() const { return worker_->upstream_figures()[0].figures.under_way; }

 private:
  TestSocket listener_;
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

}  // namespace
}  // namespace stile::server
