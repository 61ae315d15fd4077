// A quota: how many octets many tunnels may carry together, on any number of threads, until its period is over.
// Refuses: to know the period, and what becomes of a tunnel when nothing is left. Threading: from any thread. Tested in
// rate_test.cc.
#pragma once

#include <atomic>
#include <cstdint>

namespace stile::relay {

class Quota {
 public:
  Quota() noexcept = default;
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  /// 0: there is none.
  void set_most(std::uint64_t octets) noexcept { most_.store(octets, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t most() const noexcept { return most_.load(std::memory_order_relaxed); }
  /// Carried by others, or before.
  void set_used(std::uint64_t octets) noexcept { used_.store(octets, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }

  /// Counts octets that moved.
  void charge(std::uint64_t octets) noexcept { used_.fetch_add(octets, std::memory_order_relaxed); }
  /// Nothing is left: no session may begin.
  [[nodiscard]] bool is_used_up() const noexcept { return most() != 0 && used() >= most(); }
  /// More was carried than there was: those that live end.
  [[nodiscard]] bool is_exceeded() const noexcept { return most() != 0 && used() > most(); }

 private:
  std::atomic<std::uint64_t> most_{0};
  std::atomic<std::uint64_t> used_{0};
};

}  // namespace stile::relay
