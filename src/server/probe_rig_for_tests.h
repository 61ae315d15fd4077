// A client of PING and TRACEROUTE on the simulated engine, and the network that it looks at. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sim/sim_engine.h"
#include "resolve/caching_resolver.h"
#include "resolve/table_resolver.h"
#include "server/ping_run.h"
#include "server/trace_run.h"

namespace stile::server {

class ProbeRig final : public ProbeClient {
 public:
  static inline const Address near = Address::v4(198, 51, 100, 1);
  static inline const Address middle = Address::v4(198, 51, 100, 2);
  static inline const Address target = Address::v4(192, 0, 2, 10);
  static inline const Address source = Address::v4(203, 0, 113, 1);

  explicit ProbeRig(std::uint64_t seed = 1, const engine::SimFaults& faults = {}) : engine(seed, faults) {
    engine.set_own_address(source);
    engine.set_path(Cidr{target, 32}, {near, middle});
  }
  ~ProbeRig() override {
    if (run != nullptr) {
      run->cancel();
      (void)engine.run_until_idle();
      run.reset();
    }
    engine::Operation closed;
    closed.bind<&ProbeRig::on_closed>(this);
    resolver.close(closed);
    (void)engine.run_until_idle();
    EXPECT_EQ(engine.open_sockets(), 0u);
    EXPECT_EQ(engine.pending_timers(), 0u);
  }

  void name(const Address& address, std::string_view text, std::optional<Duration> delay = Duration::zero()) {
    table.set(address, {.answer = {.reason = Reason::none,
                                   .name = std::get<HostName>(canonical_host(text).value()),
                                   .ttl = std::chrono::seconds(60)},
                        .delay = delay});
  }

  [[nodiscard]] ProbeRequest request() const {
    return {.target = std::get<HostName>(canonical_host("target.example").value()),
            .address = target,
            .source = source,
            .source_shown = source,
            .client = {}};
  }
  /// Begun, where the system gives the socket.
  Result<void> ping(const ProbeRequest& wanted) {
    return begin(std::make_unique<PingRun>(engine, gate, *this, wanted));
  }
  Result<void> trace(const ProbeRequest& wanted) {
    return begin(std::make_unique<TraceRun>(engine, gate, *this, wanted, resolver));
  }

  // ProbeClient
  void take_lines(std::string_view text) override {
    ASSERT_TRUE(text.ends_with("\r\n"));
    ASSERT_TRUE(std::holds_alternative<wire::Parsed<wire::IcmpLine>>(
        wire::decode_icmp_line({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()})))
        << text;
    lines.emplace_back(text.substr(0, text.size() - 2));
  }
  [[nodiscard]] bool keeps_up() const override { return reads; }
  [[nodiscard]] bool may_see(const Address& address) override { return !hidden.contains(address); }

  engine::SimEngine engine;
  resolve::TableResolver table{engine};
  resolve::CachingResolver resolver{engine, table, {}};
  std::shared_ptr<ProbeGate> gate = std::make_shared<ProbeGate>();
  std::unique_ptr<ProbeRun> run;
  std::vector<std::string> lines;
  std::set<Address> hidden;
  bool reads = true;
  int completions = 0;

 private:
  Result<void> begin(std::unique_ptr<ProbeRun> made) {
    run = std::move(made);
    run->bind<&ProbeRig::on_probed>(this);
    auto opened = run->open();
    if (opened) run->begin();
    return opened;
  }
  void on_probed(engine::Status) {
    ++completions;
    EXPECT_FALSE(run->pending());
  }
  void on_closed(engine::Status) {}
};

}  // namespace stile::server
