// A number that one thread counts and any thread may read. No lock, no read-modify-write instruction: counting costs a
// plain store. Tested in observe/counters_test.cc.
#pragma once

#include <atomic>
#include <cstdint>

namespace stile {

/// One number, written by one thread and read by any.
class Counter {
 public:
  void add(std::uint64_t amount = 1) noexcept { store(value() + amount); }
  /// For gauges: of what was added before.
  void subtract(std::uint64_t amount = 1) noexcept { store(value() - amount); }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  void store(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace stile
