// The data of classes.h: prefixes of the IANA special-purpose address registries (IPv4 and IPv6) and the metadata and
// platform addresses of the clouds, and their index. Sources: security reference, tables 3.1 and 3.2. Order does not
// matter, the longest match wins.
#include "policy/classes.h"

#include <algorithm>

#include "base/assert.h"

namespace stile::policy {
namespace {

using enum TargetClass;

using Groups = std::array<std::uint16_t, 8>;

constexpr ClassPrefix v4(std::array<std::uint8_t, 4> quad, std::uint8_t length, TargetClass target_class) {
  ClassPrefix row{.family = Family::ipv4, .length = length, .target_class = target_class};
  for (std::size_t i = 0; i < quad.size(); ++i) row.octets[i] = quad[i];
  return row;
}

constexpr ClassPrefix v6(Groups groups, std::uint8_t length, TargetClass target_class) {
  ClassPrefix row{.family = Family::ipv6, .length = length, .target_class = target_class};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    row.octets[2 * i] = static_cast<std::uint8_t>(groups[i] >> 8);
    row.octets[2 * i + 1] = static_cast<std::uint8_t>(groups[i] & 0xFF);
  }
  return row;
}

constexpr auto prefixes = std::to_array<ClassPrefix>({
    v4({}, 0, public_space), v4({0, 0, 0, 0}, 8, reserved),  // "this network", RFC 791
    v4({10, 0, 0, 0}, 8, private_space),                     // RFC 1918
    v4({100, 64, 0, 0}, 10, cgnat),                          // RFC 6598
    v4({127, 0, 0, 0}, 8, loopback),                         // RFC 1122
    v4({169, 254, 0, 0}, 16, link_local),                    // RFC 3927
    v4({172, 16, 0, 0}, 12, private_space),                  // RFC 1918
    v4({192, 0, 0, 0}, 24, reserved),                        // IETF protocol assignments, RFC 6890
    v4({192, 0, 2, 0}, 24, reserved),                        // documentation, RFC 5737
    v4({192, 31, 196, 0}, 24, reserved),                     // AS112, RFC 7535
    v4({192, 52, 193, 0}, 24, reserved),                     // AMT, RFC 7450
    v4({192, 88, 99, 0}, 24, reserved),                      // 6to4 relay anycast, RFC 7526
    v4({192, 168, 0, 0}, 16, private_space),                 // RFC 1918
    v4({192, 175, 48, 0}, 24, reserved),                     // AS112, RFC 7534
    v4({198, 18, 0, 0}, 15, reserved),                       // benchmarking, RFC 2544
    v4({198, 51, 100, 0}, 24, reserved),                     // documentation, RFC 5737
    v4({203, 0, 113, 0}, 24, reserved),                      // documentation, RFC 5737
    v4({224, 0, 0, 0}, 4, multicast),                        // RFC 5771
    v4({240, 0, 0, 0}, 4, reserved),                         // RFC 1112, with the limited broadcast address

    v6({0x2000}, 3, public_space),  // the only global unicast space handed out
    // Everything else, in three rows: a rule on ::/0 must not lie inside any of them.
    v6({}, 3, reserved), v6({0x4000}, 2, reserved), v6({0x8000}, 1, reserved),
    v6({}, 96, reserved),  // IPv4-compatible, RFC 4291 section 2.5.5.1, with ::
    v6({0, 0, 0, 0, 0, 0, 0, 1}, 128, loopback),
    v6({0, 0, 0, 0, 0xffff, 0}, 96, reserved),  // IPv4-translated, RFC 2765
    v6({0x64, 0xff9b, 1}, 48, reserved),        // local NAT64, RFC 8215
    v6({0x100}, 64, reserved),                  // discard-only, RFC 6666
    v6({0x100, 0, 0, 1}, 64, reserved),         // dummy prefix, RFC 9780
    v6({0x2001}, 23, reserved),                 // protocol assignments: Teredo, benchmarking, ORCHID
    v6({0x2001, 0xdb8}, 32, reserved),          // documentation, RFC 3849
    v6({0x2002}, 16, reserved),                 // 6to4, RFC 3056
    v6({0x2620, 0x4f, 0x8000}, 48, reserved),   // AS112, RFC 7534
    v6({0x3fff}, 20, reserved),                 // documentation, RFC 9637
    v6({0x5f00}, 16, reserved),                 // segment routing, RFC 9602
    v6({0xfc00}, 7, private_space),             // unique local, RFC 4193
    v6({0xfe80}, 10, link_local),               // RFC 4291 section 2.5.6
    v6({0xfec0}, 10, private_space),            // site-local of old, RFC 3879
    v6({0xff00}, 8, multicast),                 // RFC 4291 section 2.7
});

constexpr auto metadata_rows = std::to_array<ClassPrefix>({
    v4({169, 254, 169, 254}, 32, metadata),  // nearly every cloud
    v4({169, 254, 169, 253}, 32, metadata),  // AWS DNS
    v4({169, 254, 169, 123}, 32, metadata),  // AWS time
    v4({169, 254, 170, 2}, 32, metadata),    // AWS tasks
    v4({169, 254, 170, 23}, 32, metadata),   // AWS pods
    v4({168, 63, 129, 16}, 32, metadata),    // Azure platform, in public space
    v4({192, 0, 0, 192}, 32, metadata),      // Oracle classic
    v4({100, 100, 100, 200}, 32, metadata),  // Alibaba
    v4({169, 254, 42, 42}, 32, metadata),    // Scaleway
    v4({169, 254, 0, 23}, 32, metadata),     // Tencent

    v6({0xfd00, 0xec2}, 32, metadata),                              // AWS
    v6({0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254}, 128, metadata),        // Google
    v6({0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe}, 128, metadata),  // Oracle
    v6({0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200}, 128, metadata),   // Alibaba
    v6({0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1}, 128, metadata),     // Akamai
    v6({0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42}, 128, metadata),         // Scaleway
    v6({0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe}, 128, metadata),     // OpenStack
});

/// By family and first octet: the rows that may hold such an address, the longest prefix first. Every address that
/// policy sees is looked up a few times, and most meet two rows of forty.
template <std::size_t Count>
class PrefixIndex {
 public:
  constexpr explicit PrefixIndex(const std::array<ClassPrefix, Count>& rows) : rows_(rows) {
    std::ranges::sort(rows_, std::ranges::greater{}, &ClassPrefix::length);
    for (unsigned slot = 0; slot < slots_.size(); ++slot) {
      for (std::size_t row = 0; row < Count; ++row) {
        if (may_hold(rows_[row], slot)) add(slots_[slot], row);
      }
    }
  }

  /// nullptr where no row holds it.
  [[nodiscard]] const ClassPrefix* find(const Address& address) const noexcept {
    const Slot& slot = slots_[slot_of(address.family(), address.octets().front())];
    for (std::size_t i = 0; i < slot.count; ++i) {
      if (rows_[slot.rows[i]].contains(address)) return &rows_[slot.rows[i]];
    }
    return nullptr;
  }

 private:
  struct Slot {
    std::array<std::uint8_t, 12> rows{};
    std::uint8_t count = 0;
  };

  static constexpr std::size_t slot_of(Family family, std::uint8_t first) noexcept {
    return (family == Family::ipv4 ? 0U : 256U) + first;
  }
  static constexpr bool may_hold(const ClassPrefix& row, unsigned slot) noexcept {
    if (slot_of(row.family, 0) != (slot & 256U)) return false;
    const unsigned bits = std::min<unsigned>(row.length, 8);
    return (((slot & 0xFFU) ^ row.octets[0]) & (0xFF00U >> bits) & 0xFFU) == 0;
  }
  static constexpr void add(Slot& slot, std::size_t row) {
    slot.rows.at(slot.count++) = static_cast<std::uint8_t>(row);  // too many do not compile
  }

  std::array<ClassPrefix, Count> rows_;
  std::array<Slot, 512> slots_{};
};

constexpr PrefixIndex prefix_index(prefixes);
constexpr PrefixIndex metadata_index(metadata_rows);

}  // namespace

const ClassPrefix& class_prefix_of(const Address& address) noexcept {
  const ClassPrefix* const longest = prefix_index.find(address);
  STILE_ASSERT(longest != nullptr);
  return *longest;
}

bool is_metadata(const Address& address) noexcept {
  return metadata_index.find(address) != nullptr;
}

std::span<const ClassPrefix> class_prefixes() noexcept {
  return prefixes;
}

std::span<const ClassPrefix> metadata_prefixes() noexcept {
  return metadata_rows;
}

}  // namespace stile::policy
