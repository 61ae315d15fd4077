#include "policy/address_ranges.h"

#include <algorithm>

namespace stile::policy {
namespace {

constexpr std::size_t stride = 64;

}  // namespace

void AddressRanges::add(const Cidr& prefix) {
  if (prefix.base.is_v4()) {
    const std::uint32_t first = number32_of(prefix.base);
    v4_.add(first, last_of(first, prefix.length));
  } else {
    const Number128 first = number128_of(prefix.base);
    v6_.add(first, last_of(first, prefix.length));
  }
}

void AddressRanges::seal() {
  v4_.seal();
  v6_.seal();
}

bool AddressRanges::contains(const Address& address) const noexcept {
  return address.is_v4() ? v4_.contains(number32_of(address)) : v6_.contains(number128_of(address));
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
