// A set of addresses, of either family: prefixes as sorted ranges, none inside another. A question costs two
// short searches, the first in every 64th range's beginning, which the caches hold. Pure; immutable once sealed, then
// any thread. Refuses to say which prefix holds an address. Tested in address_ranges_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "policy/address_number.h"

namespace stile::policy {

class AddressRanges {
 public:
  void add(const Cidr& prefix);
  /// Once, behind the last add.
  void seal();

  [[nodiscard]] bool contains(const Address& address) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return v4_.ranges.empty() && v6_.ranges.empty(); }
  /// How many ranges are left of what was added.
  [[nodiscard]] std::size_t size() const noexcept { return v4_.ranges.size() + v6_.ranges.size(); }
  /// Memory taken, this object excepted.
  [[nodiscard]] std::size_t octets() const noexcept { return v4_.octets() + v6_.octets(); }

 private:
  template <class Number>
  struct Family {
    struct Range {
      Number first;
      Number last;
    };

    void add(const Number& first, const Number& last) { ranges.push_back({first, last}); }
    void seal();
    [[nodiscard]] bool contains(const Number& number) const noexcept;
    [[nodiscard]] std::size_t octets() const noexcept {
      return ranges.capacity() * sizeof(Range) + every_64th.capacity() * sizeof(Number);
    }

    std::vector<Range> ranges;
    std::vector<Number> every_64th;  // the beginnings of ranges 0, 64, 128, …
  };

  Family<std::uint32_t> v4_;
  Family<Number128> v6_;
};

}  // namespace stile::policy
