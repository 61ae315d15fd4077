// Target classes: what kind of place an address is. Metadata addresses come first, then this host's own, then the
// longest prefix of the table in class_table.cc (security reference, 3.1 and 3.2). Pure; any thread.
// Refuses to look inside an address: forms that embed an IPv4 address are facets.h.
// Tested in classes_test.cc, every row at its edges.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/address.h"

namespace stile::policy {

struct OwnAddresses;

enum class TargetClass : std::uint8_t {
  public_space,
  private_space,
  loopback,
  link_local,
  cgnat,
  multicast,
  metadata,
  reserved,
  self,
};

inline constexpr int target_class_count = static_cast<int>(TargetClass::self) + 1;

/// The word of the policy language: "public", "link-local", …
[[nodiscard]] std::string_view name(TargetClass target_class) noexcept;
[[nodiscard]] std::optional<TargetClass> target_class_named(std::string_view word) noexcept;

/// Soft classes (private, cgnat) also open to a rule on one exact name; no name ever opens a hard one.
[[nodiscard]] constexpr bool is_soft(TargetClass target_class) noexcept {
  return target_class == TargetClass::private_space || target_class == TargetClass::cgnat;
}
[[nodiscard]] constexpr bool is_hard(TargetClass target_class) noexcept {
  return target_class != TargetClass::public_space && !is_soft(target_class);
}

/// One row of a class table.
struct ClassPrefix {
  Family family = Family::ipv4;
  std::array<std::uint8_t, 16> octets{};  // an IPv4 prefix lies in the first four
  std::uint8_t length = 0;
  TargetClass target_class = TargetClass::reserved;

  [[nodiscard]] bool contains(const Address& address) const noexcept;
  /// True when every address of `inner` is in this row's prefix.
  [[nodiscard]] bool contains(const Cidr& inner) const noexcept;
};

/// The prefix classes; together the rows cover every address of both families.
[[nodiscard]] std::span<const ClassPrefix> class_prefixes() noexcept;
/// Metadata and platform addresses, checked before all else.
[[nodiscard]] std::span<const ClassPrefix> metadata_prefixes() noexcept;

/// The row with the longest prefix that holds `address`.
[[nodiscard]] const ClassPrefix& class_prefix_of(const Address& address) noexcept;

[[nodiscard]] bool is_metadata(const Address& address) noexcept;
/// This host's own, loopback excepted: a local route or the address of a listener.
[[nodiscard]] bool is_self(const Address& address, const OwnAddresses& own) noexcept;

/// The one class of an address, the most specific. The address itself only: see facets.h for what it embeds.
[[nodiscard]] TargetClass classify(const Address& address, const OwnAddresses& own) noexcept;

/// True when an allow rule on `named` opens `address`, which is in `named` and of class `target_class`: public space
/// always, metadata and self by the exact host only, the other inside classes by a prefix inside the table's row.
[[nodiscard]] bool opens(const Cidr& named, const Address& address, TargetClass target_class) noexcept;

/// The hard class that an allow rule on `named` opens whatever else it does; `self` is not known here.
[[nodiscard]] std::optional<TargetClass> hard_class_opened_by(const Cidr& named) noexcept;

}  // namespace stile::policy
