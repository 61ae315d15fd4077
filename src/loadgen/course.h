// What all tunnels of a run share: the engine, the pattern, one buffer, the tally, and the way to the origin. Owned by
// run.cc; outlives everything that refers to it. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "engine/epoll/epoll_engine.h"
#include "loadgen/pattern.h"
#include "loadgen/tally.h"
#include "route/chain.h"

namespace stile::loadgen {

/// The same clock as the engine's, read between two turns' readings: a user-space call, no system call.
[[nodiscard]] inline Instant precise_now() noexcept {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

/// The way that connections take. On loopback, the many short ones are spread over several addresses: a port that the
/// last connection used is held in TIME-WAIT, and one pair of addresses has 28,000 of them.
class Way {
 public:
  struct Leg {
    Endpoint first_hop;
    std::optional<Address> source;
    Endpoint origin;
  };

  /// `first_hop` absent: straight to the origin. At least one origin (asserted).
  Way(std::optional<Endpoint> first_hop, std::vector<Endpoint> origins);

  /// That of the next connection.
  [[nodiscard]] Leg next() noexcept;
  /// The origin of a long-lived tunnel or an association.
  [[nodiscard]] const Endpoint& origin(std::size_t number) const noexcept { return origins_[number % origins_.size()]; }
  [[nodiscard]] const std::optional<Endpoint>& first_hop() const noexcept { return first_hop_; }

 private:
  static constexpr std::uint64_t connections_per_address = 4'096;

  std::optional<Endpoint> first_hop_;
  std::vector<Endpoint> origins_;
  bool spread_sources_ = false;
  std::uint64_t taken_ = 0;
};

struct Course {
  engine::EpollEngine& engine;
  const Pattern& pattern;
  MutableBytes scratch;  // Pattern::piece_octets_max and a preamble; used within one completion only
  Tally& tally;
  Way& way;
  const route::Hop* proxy = nullptr;  // nullptr: direct
  Verify verify = Verify::full;
};

}  // namespace stile::loadgen
