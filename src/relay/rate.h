// Rates: budgets of octets a second that any number of flows share, on any number of threads, without a lock.
// A budget is a line of reservations: whoever wants to move octets is told when its turn begins, and the next one's
// turn begins when these octets would be through at that rate. So all who wait are served in the order in which they
// asked, each with a small quantum: fair, smooth, and exact, since a turn that began late moves none of the later ones.
// What was reserved and not moved is refunded. A budget that nobody used saves up no more than `credit`.
// Refuses: to read a clock, to wait (its owner's timer does). Threading: RateBudget from any thread; Flow belongs to
// one. Tested in rate_test.cc, and with tunnels in metered_relay_test.cc.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/limits.h"
#include "base/time.h"

namespace stile::relay {

class RateBudget {
 public:
  /// What may be caught up with after an unused moment, or by a timer that came late.
  static constexpr Duration credit = limits::rate_credit;
  /// How long a turn is at most, with nobody else waiting.
  static constexpr Duration turn = limits::rate_turn;

  RateBudget() noexcept = default;
  explicit RateBudget(std::uint64_t octets_per_second) noexcept { set_rate(octets_per_second); }
  RateBudget(const RateBudget&) = delete;
  RateBudget& operator=(const RateBudget&) = delete;

  /// Not 0. Turns that were given stay where they are.
  void set_rate(std::uint64_t octets_per_second) noexcept {
    octets_per_second_.store(octets_per_second, std::memory_order_relaxed);
  }
  /// 0: there is no such budget.
  [[nodiscard]] std::uint64_t rate() const noexcept { return octets_per_second_.load(std::memory_order_relaxed); }

  /// How much to reserve at once: less, the more wait, so that each comes soon and little at a time.
  [[nodiscard]] std::size_t quantum(Instant now) const noexcept;
  /// When these octets may move.
  [[nodiscard]] Instant reserve(std::size_t octets, Instant now) noexcept;
  void refund(std::size_t octets) noexcept;
  /// For what cannot wait, datagrams: false where more than `limits::rate_datagrams_ahead` is reserved already.
  [[nodiscard]] bool take(std::size_t octets, Instant now) noexcept;

 private:
  [[nodiscard]] Duration cost(std::size_t octets) const noexcept;

  std::atomic<std::uint64_t> octets_per_second_{0};
  std::atomic<Duration::rep> next_{0};  // when the next turn begins, since the clock's epoch
};

/// One direction of one tunnel, and the budgets that it draws on.
class Flow {
 public:
  static constexpr std::size_t budgets_max = 3;  // of its rule, its user, its own

  Flow() noexcept = default;
  /// Budgets outlive the flow.
  void draw_on(RateBudget& budget) noexcept;
  [[nodiscard]] bool is_metered() const noexcept { return count_ > 0; }

  /// How much may move now; 0: nothing before `due`. What it says is reserved until `moved`.
  [[nodiscard]] std::size_t allowed(Instant now) noexcept;
  [[nodiscard]] Instant due() const noexcept { return due_; }
  /// So much of what was allowed, perhaps nothing; the rest is given back.
  void moved(std::size_t octets) noexcept;
  /// A datagram, which waits for nothing.
  [[nodiscard]] bool take(std::size_t octets, Instant now) noexcept;

 private:
  std::array<RateBudget*, budgets_max> budgets_{};
  std::size_t count_ = 0;
  std::size_t reserved_ = 0;
  Instant due_{};
};

}  // namespace stile::relay
