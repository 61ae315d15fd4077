// The sweep "fail the i-th call, for every i and error", over a scenario on the simulated engine. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>

namespace stile::engine {

/// Plays `scenario(0, errno)`, in which nothing fails and which gives how many calls it made, then
/// `scenario(i, errno)` for each of them (but for `calls_max` at most) and each error, up to the first one that fails
/// its own expectations. Gives how many calls there were.
template <typename Scenario>
std::uint64_t sweep_calls(const Scenario& scenario, std::initializer_list<int> errors,
                          std::uint64_t calls_max = UINT64_MAX) {
  const std::uint64_t calls = std::min<std::uint64_t>(scenario(0, 0), calls_max);
  for (const int error : errors) {
    for (std::uint64_t call = 1; call <= calls; ++call) {
      SCOPED_TRACE(testing::Message() << "call " << call << " fails with errno " << error);
      (void)scenario(call, error);
      if (testing::Test::HasFailure()) return calls;
    }
  }
  return calls;
}

}  // namespace stile::engine
