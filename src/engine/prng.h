// A fast generator of pseudo-random numbers (xoshiro256**, Blackman and Vigna, 2018). Not for keys: an observer of its
// numbers can compute it. One thread. Tested in prng_test.cc against the authors' reference output.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace stile::engine {

class Prng {
 public:
  /// Any state but all zeros.
  explicit constexpr Prng(const std::array<std::uint64_t, 4>& state) noexcept : state_(state) {}
  /// Spreads one number over the state (splitmix64), as the authors advise.
  explicit constexpr Prng(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) {
      seed += 0x9E3779B97F4A7C15u;
      std::uint64_t mixed = seed;
      mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
      mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
      word = mixed ^ (mixed >> 31);
    }
  }

  constexpr std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// 0 to bound - 1; the bias is below bound / 2^64.
  constexpr std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

  /// True with the given probability.
  constexpr bool chance(double probability) noexcept {
    return probability > 0 && static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace stile::engine
