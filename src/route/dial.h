// One outgoing connection to the first of several candidate addresses that answers: RFC 8305 ("happy eyeballs"), with
// the failure told as truthfully as the network told it. The candidates were decided by policy before; exactly these
// are dialled, in this order, and nothing else.
// Threading: one engine's thread. Tested in dial_test.cc on the simulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/address.h"
#include "base/egress.h"
#include "base/limits.h"
#include "base/reason.h"
#include "engine/engine.h"

namespace stile::route {

struct DialLimits {
  Duration per_address = limits::connect_per_address;
  Duration total = limits::connect_total;
  Duration stagger = limits::connect_stagger;
  bool fast_open = false;  // as of engine::ConnectOptions
};

/// Where a socket leaves whose rule or upstream says this: from the address, or from one of the prefix that is drawn
/// for it. Absent: nothing is said.
[[nodiscard]] std::optional<engine::Egress> egress_of(const EgressSettings& settings, engine::Engine& engine);

/// The reason behind one failed attempt on an address of `family` (protocol reference, section 2.5).
/// `host_has_ipv6`: whether this host bears an IPv6 address at all. It tells a host without IPv6 from exhausted ports,
/// for which the kernel has one error.
[[nodiscard]] Reason dial_reason(const engine::ConnectFailure& failure, Family family, bool host_has_ipv6) noexcept;

/// Which of two failed attempts a client is told about: the more specific, in the order refused, TTL expired, host
/// unreachable, timeout, network unreachable, other. `Reason::none` stands for no attempt.
[[nodiscard]] Reason more_specific(Reason one, Reason other) noexcept;

/// A dial, owned by the caller, which stays in place until its completion. Used for one dial.
class Dial {
 public:
  /// Asks this host whether it bears an IPv6 address; the simulation brings its own answer.
  using Ipv6Probe = bool (*)() noexcept;

  explicit Dial(engine::Engine& engine) noexcept;
  Dial(engine::Engine& engine, Ipv6Probe host_has_ipv6) noexcept;
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;
  /// Closes a connected socket that nobody took. Not while pending (asserted).
  ~Dial();

  /// `dial.bind<&Connection::on_dialled>(this)`, with `void on_dialled(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// Dials 1..candidates_max endpoints; exactly one completion follows, never inline. More candidates are not tried.
  /// `egress`, where it is not empty: from where each of them, in the same order; none is reached from an address of
  /// the other family.
  void start(std::span<const Endpoint> candidates, const DialLimits& limits,
             std::span<const std::optional<engine::Egress>> egress = {});
  /// Ends all attempts; the completion comes with `reason()` client_reset, also where a connection was made but not
  /// yet told about. A no-op when nothing is pending.
  void cancel() noexcept;
  [[nodiscard]] bool pending() const noexcept { return dialling_ || done_.pending(); }

  /// After completion. Reason::none: connected. Otherwise the most specific failure of all attempts (`more_specific`).
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  /// After success: the endpoint connected to, byte for byte one of the candidates. After a failure the one whose
  /// failure `reason` tells; the first where the dial was cancelled.
  [[nodiscard]] const Endpoint& peer() const noexcept { return told_->peer; }
  /// After success, once: hands over the connected socket. `into` must be closed.
  void take(engine::Socket& into) noexcept;

 private:
  /// One candidate and the connection attempt on it.
  struct Attempt {
    enum class Phase : std::uint8_t { waiting, connecting, connected, ended };

    void on_connected(engine::Status status) { dial->on_connected(*this, status); }

    Dial* dial = nullptr;
    Endpoint peer;
    std::optional<engine::Egress> egress;
    engine::Socket socket;
    Instant deadline{};
    Phase phase = Phase::waiting;
  };

  [[nodiscard]] Attempt& attempt(std::size_t index) noexcept { return index == 0 ? first_ : others_[index - 1]; }
  void place(std::size_t index, const Endpoint& peer, const std::optional<engine::Egress>& egress) noexcept;
  void advance();
  void start_next();
  void on_connected(Attempt& attempt, engine::Status status);
  void settle(Attempt& attempt);
  void on_timer(engine::Status status);
  [[nodiscard]] Reason reason_of(const engine::ConnectFailure& failure, const Attempt& attempt) const noexcept;
  void fail(Attempt& attempt, Reason reason) noexcept;
  [[nodiscard]] bool connecting() noexcept;
  [[nodiscard]] Instant next_event() noexcept;
  void finish() noexcept;
  void complete_when_quiet() noexcept;

  engine::Engine& engine_;
  Ipv6Probe host_has_ipv6_;
  engine::Operation done_;
  engine::Timer timer_;  // until the next of: stagger over, an attempt's deadline, the total
  DialLimits limits_;
  Attempt first_;                      // in place: the common dial of one candidate allocates nothing
  std::unique_ptr<Attempt[]> others_;  // the second candidate and those after it
  std::size_t count_ = 0;
  std::size_t started_ = 0;
  Instant next_start_{};
  Instant end_{};
  Attempt* told_ = &first_;
  Reason reason_ = Reason::none;
  bool dialling_ = false;
  bool finished_ = false;
};

}  // namespace stile::route
