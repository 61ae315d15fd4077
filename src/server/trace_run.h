// TRACEROUTE: three probes a hop, or one where that is asked for, one after the other, each of which has
// limits::trace_probe_wait to be answered; a line a hop, and the outcome (protocol reference, section 9.2). An answer
// that comes late still counts while its hop lasts. The names of a hop's routers are looked up while its other probes
// are under way, and never waited for long. One engine's thread. Tested in trace_run_test.cc on the simulation.
#pragma once

#include <array>
#include <vector>

#include "resolve/resolver.h"
#include "server/probe_run.h"

namespace stile::server {

class TraceRun final : public ProbeRun {
 public:
  TraceRun(engine::Engine& engine, std::shared_ptr<ProbeGate> gate, ProbeClient& client, ProbeRequest request,
           resolve::Resolver& resolver);

 private:
  struct Probe {
    std::uint16_t sequence = 0;
    Instant sent{};
    std::optional<wire::TraceProbe> answer;
  };
  /// The name of a router, asked for.
  struct Naming {
    TraceRun* run = nullptr;
    resolve::Lookup lookup;
    Address address;
    bool asked = false;  // in this hop

    void on_named(engine::Status status);
  };

  Instant advance() override;
  void write_first() override;
  void write_last() override;
  [[nodiscard]] bool awaits(std::uint16_t sequence) const noexcept override;
  void on_answer(const Answer& answer) override;
  [[nodiscard]] bool naming() const noexcept override;
  void stop_naming() noexcept override;
  void send_next();
  void ask_name(const Address& address);
  [[nodiscard]] std::optional<HostName> name_of(const Address& address) const;
  [[nodiscard]] bool names_awaited() const noexcept;
  void end_hop();

  resolve::Resolver& resolver_;
  std::uint8_t hop_ = 1;
  std::vector<Probe> probes_;  // of this hop, as sent
  std::array<Naming, limits::trace_probes_per_hop> namings_;
  Instant next_{};     // when a probe may leave
  Instant overdue_{};  // of the last probe's answer, then of the hop's names
  std::uint16_t sequence_ = 0;
  bool hop_complete_ = false;                                   // its probes are answered or lost; names may be awaited
  wire::TraceOutcome hop_outcome_ = wire::TraceOutcome::ended;  // what this hop's answers say
  wire::TraceOutcome outcome_ = wire::TraceOutcome::ended;
};

}  // namespace stile::server
