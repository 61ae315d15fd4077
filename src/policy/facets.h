// Facets: an address and every IPv4 address embedded in it. A deny matches on any facet, an allow must cover every
// one, so no encoding of an address turns a deny into an allow (security reference, 3.3). Pure; any thread.
// Refuses to extract again from what it extracted. IPv4-mapped addresses are IPv4 before they come here.
// Tested in facets_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/address.h"
#include "policy/classes.h"

namespace stile::policy {

/// Where a facet comes from.
enum class FacetForm : std::uint8_t {
  address,        // the address itself
  translated,     // ::ffff:0:0:0/96, RFC 2765
  compatible,     // ::/96, RFC 4291 section 2.5.5.1
  nat64,          // 64:ff9b::/96, RFC 6052
  nat64_local,    // 64:ff9b:1::/48, RFC 8215, read at each prefix length that RFC 6052 allows there
  six_to_four,    // 2002::/16, RFC 3056
  teredo_server,  // 2001::/32, RFC 4380
  teredo_client,
  isatap,  // interface identifier 0000:5efe or 0200:5efe, RFC 5214
};

/// "address", "NAT64", "6to4", …
[[nodiscard]] std::string_view name(FacetForm form) noexcept;

struct Facet {
  Address address;
  TargetClass target_class = TargetClass::reserved;
  FacetForm form = FacetForm::address;
  /// The outside of a NAT64 address: the IPv4 inside decides alone. No class counts for it; only `any` and a prefix in
  /// a deny still match it.
  bool neutral = false;
};

/// The facets of one address, itself first.
class FacetSet {
 public:
  // The address, four readings of a local NAT64 prefix and ISATAP.
  static constexpr std::size_t facets_max = 6;

  FacetSet() noexcept = default;
  FacetSet(const Address& address, const OwnAddresses& own);

  [[nodiscard]] const Facet* begin() const noexcept { return facets_.data(); }
  [[nodiscard]] const Facet* end() const noexcept { return facets_.data() + count_; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  void add(std::span<const std::uint8_t, 4> embedded, FacetForm form, const OwnAddresses& own);
  void add_by_prefix(ConstBytes octets, const OwnAddresses& own);

  std::array<Facet, facets_max> facets_{};
  std::size_t count_ = 0;
};

}  // namespace stile::policy
