#include "policy/facets.h"

#include <algorithm>

#include "base/assert.h"
#include "policy/policy.h"

namespace stile::policy {
namespace {

bool starts_with(ConstBytes octets, std::initializer_list<std::uint8_t> prefix) {
  return std::ranges::equal(octets.first(prefix.size()), prefix);
}

std::array<std::uint8_t, 4> quad_at(ConstBytes octets, std::size_t position) {
  return {octets[position], octets[position + 1], octets[position + 2], octets[position + 3]};
}

std::array<std::uint8_t, 4> inverted(std::array<std::uint8_t, 4> quad) {
  for (std::uint8_t& octet : quad) octet = static_cast<std::uint8_t>(~octet);
  return quad;
}

// RFC 6052 section 2.2: the IPv4 address follows the prefix, stepping over octet 8 (bits 64 to 71).
std::array<std::uint8_t, 4> quad_after_prefix(ConstBytes octets, std::size_t prefix_octets) {
  constexpr std::size_t skipped_octet = 8;
  std::array<std::uint8_t, 4> quad{};
  std::size_t position = prefix_octets;
  for (std::uint8_t& octet : quad) {
    if (position == skipped_octet) ++position;
    octet = octets[position++];
  }
  return quad;
}

bool is_isatap(ConstBytes octets) {
  const ConstBytes identifier = octets.subspan(8);
  return starts_with(identifier, {0x00, 0x00, 0x5e, 0xfe}) || starts_with(identifier, {0x02, 0x00, 0x5e, 0xfe});
}

// :: and ::1 are no IPv4-compatible addresses.
bool is_compatible(ConstBytes octets) {
  if (!starts_with(octets, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) return false;
  const ConstBytes quad = octets.subspan(12);
  return !(quad[0] == 0 && quad[1] == 0 && quad[2] == 0 && quad[3] <= 1);
}

}  // namespace

std::string_view name(FacetForm form) noexcept {
  switch (form) {
    case FacetForm::address:
      return "address";
    case FacetForm::translated:
      return "IPv4-translated";
    case FacetForm::compatible:
      return "IPv4-compatible";
    case FacetForm::nat64:
      return "NAT64";
    case FacetForm::nat64_local:
      return "local NAT64";
    case FacetForm::six_to_four:
      return "6to4";
    case FacetForm::teredo_server:
      return "Teredo server";
    case FacetForm::teredo_client:
      return "Teredo client";
    case FacetForm::isatap:
      return "ISATAP";
  }
  assertion_failed("FacetForm in range", __FILE__, __LINE__);
}

FacetSet::FacetSet(const Address& address, const OwnAddresses& own) {
  facets_[count_++] = Facet{.address = address, .target_class = classify(address, own)};
  if (address.is_v4()) return;
  const ConstBytes octets = address.octets();
  add_by_prefix(octets, own);
  if (is_isatap(octets)) add(quad_at(octets, 12), FacetForm::isatap, own);
}

void FacetSet::add_by_prefix(ConstBytes octets, const OwnAddresses& own) {
  if (is_compatible(octets)) {
    add(quad_at(octets, 12), FacetForm::compatible, own);
  } else if (starts_with(octets, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0})) {
    add(quad_at(octets, 12), FacetForm::translated, own);
  } else if (starts_with(octets, {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) {
    // An address of this host keeps its class: only foreign NAT64 space is neutral.
    facets_[0].neutral = facets_[0].target_class == TargetClass::reserved;
    add(quad_at(octets, 12), FacetForm::nat64, own);
  } else if (starts_with(octets, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01})) {
    // Nobody declared which prefix length is in use, so each legal one at or below the block's own counts; the
    // address itself stays reserved.
    for (const std::size_t prefix_octets : {6U, 7U, 8U, 12U}) {
      add(quad_after_prefix(octets, prefix_octets), FacetForm::nat64_local, own);
    }
  } else if (starts_with(octets, {0x20, 0x02})) {
    add(quad_at(octets, 2), FacetForm::six_to_four, own);
  } else if (starts_with(octets, {0x20, 0x01, 0x00, 0x00})) {
    add(quad_at(octets, 4), FacetForm::teredo_server, own);
    add(inverted(quad_at(octets, 12)), FacetForm::teredo_client, own);
  }
}

void FacetSet::add(std::span<const std::uint8_t, 4> embedded, FacetForm form, const OwnAddresses& own) {
  STILE_ASSERT(count_ < facets_max);
  const Address address = Address::v4(embedded);
  facets_[count_++] = Facet{.address = address, .target_class = classify(address, own), .form = form};
}

}  // namespace stile::policy
