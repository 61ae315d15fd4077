#include "loadgen/pattern.h"

#include <algorithm>
#include <cstring>

namespace stile::loadgen {
namespace {

/// splitmix64 (Steele, Lea, Flood 2014): any octets do that do not repeat within the period.
std::uint8_t octet_at(std::uint64_t position) noexcept {
  std::uint64_t mixed = (position + 1) * 0x9E3779B97F4A7C15U;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
  return static_cast<std::uint8_t>(mixed >> 56);
}

}  // namespace

Pattern::Pattern() : table_(period + piece_octets_max) {
  for (std::size_t i = 0; i < table_.size(); ++i) table_[i] = octet_at(i % period);
}

ConstBytes Pattern::at(std::uint64_t position, std::size_t octets) const noexcept {
  STILE_ASSERT(octets <= piece_octets_max);
  return ConstBytes(table_).subspan(static_cast<std::size_t>(position % period), octets);
}

std::optional<std::uint64_t> Pattern::first_difference(std::uint64_t position, ConstBytes octets) const noexcept {
  while (!octets.empty()) {
    const ConstBytes part = octets.first(std::min(octets.size(), piece_octets_max));
    const ConstBytes want = at(position, part.size());
    if (std::memcmp(part.data(), want.data(), part.size()) != 0) {
      const auto differ = std::ranges::mismatch(part, want);
      return position + static_cast<std::uint64_t>(differ.in1 - part.begin());
    }
    position += part.size();
    octets = octets.subspan(part.size());
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Pattern::first_wrong(std::uint64_t position, ConstBytes octets,
                                                  Verify verify) const noexcept {
  if (verify == Verify::full || octets.size() <= 2 * edge_octets) return first_difference(position, octets);
  if (const auto wrong = first_difference(position, octets.first(edge_octets))) return wrong;
  return first_difference(position + octets.size() - edge_octets, octets.last(edge_octets));
}

}  // namespace stile::loadgen
