#include "policy/address_ranges.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace stile::policy {
namespace {

constexpr std::size_t stride = 64;

template <class Unsigned>
Unsigned big_endian(const std::uint8_t* octets) noexcept {
  Unsigned value = 0;
  std::memcpy(&value, octets, sizeof value);
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}

// The lowest `bits` bits, of 0 to 64 or more.
constexpr std::uint64_t low_ones(unsigned bits) noexcept {
  return bits >= 64 ? UINT64_MAX : (std::uint64_t{1} << bits) - 1;
}

}  // namespace

AddressRanges::Number128 AddressRanges::number_of(ConstBytes octets) noexcept {
  return {.high = big_endian<std::uint64_t>(octets.data()), .low = big_endian<std::uint64_t>(octets.data() + 8)};
}

void AddressRanges::add(const Cidr& prefix) {
  const ConstBytes octets = prefix.base.octets();
  if (prefix.base.is_v4()) {
    const auto first = big_endian<std::uint32_t>(octets.data());
    v4_.add(first, first | static_cast<std::uint32_t>(low_ones(32U - prefix.length)));
    return;
  }
  const Number128 first = number_of(octets);
  const unsigned free_bits = 128U - prefix.length;
  v6_.add(first, {.high = first.high | (free_bits > 64 ? low_ones(free_bits - 64) : 0),
                  .low = first.low | low_ones(free_bits)});
}

void AddressRanges::seal() {
  v4_.seal();
  v6_.seal();
}

bool AddressRanges::contains(const Address& address) const noexcept {
  const ConstBytes octets = address.octets();
  return address.is_v4() ? v4_.contains(big_endian<std::uint32_t>(octets.data())) : v6_.contains(number_of(octets));
}

template <class Number>
void AddressRanges::Family<Number>::seal() {
  // Prefixes nest or lie apart: what begins within the last one kept also ends there, for the wider come first.
  std::ranges::sort(
      ranges, [](const Range& a, const Range& b) { return a.first != b.first ? a.first < b.first : a.last > b.last; });
  std::size_t kept = 0;
  for (const Range& range : ranges) {
    if (kept == 0 || range.first > ranges[kept - 1].last) ranges[kept++] = range;
  }
  ranges.resize(kept);
  ranges.shrink_to_fit();
  for (std::size_t i = 0; i < ranges.size(); i += stride) every_64th.push_back(ranges[i].first);
  every_64th.shrink_to_fit();
}

template <class Number>
bool AddressRanges::Family<Number>::contains(const Number& number) const noexcept {
  const auto blocks = static_cast<std::size_t>(std::ranges::upper_bound(every_64th, number) - every_64th.begin());
  if (blocks == 0) return false;
  const auto begin = ranges.begin() + static_cast<std::ptrdiff_t>((blocks - 1) * stride);
  const auto end = ranges.begin() + static_cast<std::ptrdiff_t>(std::min(blocks * stride, ranges.size()));
  const auto behind = std::ranges::upper_bound(begin, end, number, {}, &Range::first);
  return number <= std::prev(behind)->last;
}

}  // namespace stile::policy
