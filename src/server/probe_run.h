// What PING and TRACEROUTE have in common: an ICMP socket, the pace of the probes, and answers that are believed. The
// runs themselves are ping_run.h and trace_run.h. They write lines (wire/icmp_text.h) to their client as things happen,
// the first when they begin, the last when they end.
//
// Life: open (may fail; nothing is pending yet) → begin → lines → one completion. `stop` ends it with its last lines,
// `cancel` without a word; after either the completion still comes, if it had begun.
// An answer is believed when its sequence is that of a probe that has none yet, it is from or about the address that
// was probed, and a reply bears the probe's own octets (security reference, TS7).
// Threading: one engine's thread. Tested in ping_run_test.cc and trace_run_test.cc on the simulation, with a sweep of
// failing calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/limits.h"
#include "engine/engine.h"
#include "server/icmp_meaning.h"
#include "server/probe_gate.h"
#include "wire/icmp_text.h"

namespace stile::server {

struct ProbeRequest {
  Host target;                 // as it was asked for
  Address address;             // what is probed: decided by policy
  Address source;              // of this host, towards it
  Address source_shown;        // what the reply said in its place
  std::string client;          // whose pace this counts for; empty: nobody's
  bool show_names = true;      // of routers
  bool show_codes = false;     // ICMP types and codes
  bool each_hop_once = false;  // TRACEROUTE: one probe a hop
};

/// Whoever asked. Called on the engine's thread; no call may end the run.
class ProbeClient {
 public:
  virtual ~ProbeClient() = default;
  /// One or more whole lines.
  virtual void take_lines(std::string_view lines) = 0;
  /// False while it has not read what it was given: nothing is sent meanwhile.
  [[nodiscard]] virtual bool keeps_up() const = 0;
  /// Whether the policy lets it know of this address.
  [[nodiscard]] virtual bool may_see(const Address& address) = 0;
};

class ProbeRun {
 public:
  ProbeRun(engine::Engine& engine, std::shared_ptr<ProbeGate> gate, ProbeClient& client, ProbeRequest request,
           std::size_t payload_octets);
  ProbeRun(const ProbeRun&) = delete;
  ProbeRun& operator=(const ProbeRun&) = delete;
  /// Not while pending (asserted by its parts).
  virtual ~ProbeRun();

  /// The one completion: `void on_probed(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// not_permitted: the system gives no ICMP socket. no_descriptors: it gives none more, or too many runs go on.
  [[nodiscard]] Result<void> open();
  void begin();
  /// A no-op once it has ended.
  void stop();
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept {
    return done_.pending() || socket_.pending() || timer_.pending() || running_ || naming();
  }

  // For the record.
  [[nodiscard]] std::uint32_t sent() const noexcept { return sent_; }
  [[nodiscard]] std::uint32_t answered() const noexcept { return answered_; }

 protected:
  /// Does what is due at this time, and says when something will be next.
  virtual Instant advance() = 0;
  virtual void write_first() = 0;
  virtual void write_last() = 0;
  struct Answer {
    Address from;
    std::uint16_t sequence = 0;
    std::uint8_t ttl = 0;
    Instant at{};
    std::optional<IcmpMeaning> error;  // absent: a reply
    std::optional<wire::IcmpDetail> detail;
  };
  /// Of a probe to the address; whether one with this sequence is under way is the run's to know.
  [[nodiscard]] virtual bool awaits(std::uint16_t sequence) const noexcept = 0;
  virtual void on_answer(const Answer& answer) = 0;
  /// Lookups of its own are pending; each must call `complete_when_quiet` when it is over.
  [[nodiscard]] virtual bool naming() const noexcept { return false; }
  virtual void stop_naming() noexcept {}

  /// When the next probe may leave, if not at this time.
  [[nodiscard]] std::optional<Instant> held_back();
  /// Sends one, which `awaits` knows already, and says when. A refusal of this host comes to `on_answer` like any other
  /// error.
  void probe(std::uint16_t sequence, std::uint8_t hops_max, Instant& sent_at);
  void write(const wire::IcmpLine& line) { client_.take_lines(wire::encode_icmp_line(line)); }
  /// Ends it: the last lines, then the completion.
  void finish();
  void work();
  void complete_when_quiet() noexcept;
  [[nodiscard]] bool running() const noexcept { return running_; }
  [[nodiscard]] const ProbeRequest& request() const noexcept { return request_; }
  [[nodiscard]] engine::Engine& engine() noexcept { return engine_; }
  [[nodiscard]] static wire::IcmpTime elapsed(Instant from, Instant to) noexcept;

 private:
  using Payload = std::array<std::uint8_t, limits::ping_payload_octets>;

  void on_socket_ready(engine::Status status);
  void on_timer(engine::Status status);
  void take(const engine::EchoAnswer& answer);
  [[nodiscard]] Payload payload_of(std::uint16_t sequence) const noexcept;
  void release() noexcept;

  engine::Engine& engine_;
  std::shared_ptr<ProbeGate> gate_;
  ProbeClient& client_;
  const ProbeRequest request_;
  const std::size_t payload_octets_;
  const std::uint64_t secret_;  // what the probes' octets are made of
  engine::Operation done_;
  engine::Socket socket_;
  engine::Timer timer_;
  std::uint32_t sent_ = 0;
  std::uint32_t answered_ = 0;
  bool running_ = false;
  bool completion_due_ = false;
};

}  // namespace stile::server
