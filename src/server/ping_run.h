// PING: a probe a second until the client ends it or limits::ping_probes_max are sent; then the statistics (protocol
// reference, section 9.2). One engine's thread. Tested in ping_run_test.cc on the simulation.
#pragma once

#include <vector>

#include "server/probe_run.h"

namespace stile::server {

class PingRun final : public ProbeRun {
 public:
  PingRun(engine::Engine& engine, std::shared_ptr<ProbeGate> gate, ProbeClient& client, ProbeRequest request)
      : ProbeRun(engine, std::move(gate), client, std::move(request), limits::ping_payload_octets) {}

 private:
  struct Probe {
    std::uint16_t sequence;
    Instant sent;
  };

  Instant advance() override;
  void write_first() override;
  void write_last() override;
  [[nodiscard]] bool awaits(std::uint16_t sequence) const noexcept override;
  void on_answer(const Answer& answer) override;
  void send_next();
  void count(wire::IcmpTime time) noexcept;

  std::vector<Probe> under_way_;  // oldest first; a few, since each waits limits::ping_wait at most
  Instant began_{};
  Instant next_{};
  std::uint32_t tried_ = 0;  // sequences begin at 1
  wire::IcmpTime shortest_ = wire::IcmpTime::max();
  wire::IcmpTime longest_{0};
  std::uint64_t sum_ = 0;          // microseconds
  std::uint64_t sum_squares_ = 0;  // fits: ping_probes_max times ping_wait squared
};

}  // namespace stile::server
