// The octets of every stream, and what is checked of them. They depend on their position alone, with a period that is
// prime, so that an octet that is changed, lost, doubled or out of its order is found. Streams begin at different
// positions, so that mixing two of them up is found as well. Sending takes octets out of one table, checking compares
// with it: neither computes nor copies.
// Threading: the table is constant once built. Tested in pattern_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"

namespace stile::loadgen {

/// How much of what arrives is compared.
enum class Verify : std::uint8_t {
  full,   // every octet
  edges,  // the first and the last ones of each piece, and the count
};

class Pattern {
 public:
  static constexpr std::size_t period = 65'521;  // the largest prime below 64 Ki
  static constexpr std::size_t piece_octets_max = 256 * limits::KiB;
  static constexpr std::size_t edge_octets = 8;

  Pattern();

  /// The octets at `position` and after, at most piece_octets_max (asserted). Valid as long as the table.
  [[nodiscard]] ConstBytes at(std::uint64_t position, std::size_t octets) const noexcept;

  /// Compares what arrived at `position`, of any length. Gives the first position that is seen to differ.
  [[nodiscard]] std::optional<std::uint64_t> first_wrong(std::uint64_t position, ConstBytes octets,
                                                         Verify verify) const noexcept;

  /// Where the stream with this number begins.
  [[nodiscard]] static constexpr std::uint64_t start_of(std::uint64_t stream) noexcept { return stream * 7'919; }

 private:
  [[nodiscard]] std::optional<std::uint64_t> first_difference(std::uint64_t position, ConstBytes octets) const noexcept;

  std::vector<std::uint8_t> table_;
};

}  // namespace stile::loadgen
