#include "policy/classes.h"

#include <algorithm>

#include "base/assert.h"
#include "policy/policy.h"

namespace stile::policy {
namespace {

// In the order of the enumeration.
constexpr std::array<std::string_view, target_class_count> class_names = {
    "public", "private", "loopback", "link-local", "cgnat", "multicast", "metadata", "reserved", "self",
};

unsigned width(const Address& address) noexcept {
  return address.is_v4() ? 32 : 128;
}

}  // namespace

std::string_view name(TargetClass target_class) noexcept {
  return class_names[static_cast<std::size_t>(target_class)];
}

std::optional<TargetClass> target_class_named(std::string_view word) noexcept {
  const auto found = std::ranges::find(class_names, word);
  if (found == class_names.end()) return std::nullopt;
  return static_cast<TargetClass>(found - class_names.begin());
}

bool ClassPrefix::contains(const Address& address) const noexcept {
  return address.family() == family && same_prefix(address.octets(), octets, length);
}

bool ClassPrefix::contains(const Cidr& inner) const noexcept {
  return inner.length >= length && contains(inner.base);
}

bool is_self(const Address& address, const OwnAddresses& own) noexcept {
  const bool listed =
      std::ranges::any_of(own.local_routes, [&](const Cidr& route) { return route.contains(address); }) ||
      std::ranges::any_of(own.sockets, [&](const Endpoint& socket) { return socket.address == address; });
  // The loopback prefixes stay `loopback`, whatever listens there (security reference, 3.4).
  return listed && class_prefix_of(address).target_class != TargetClass::loopback;
}

TargetClass classify(const Address& address, const OwnAddresses& own) noexcept {
  if (is_metadata(address)) return TargetClass::metadata;
  if (is_self(address, own)) return TargetClass::self;
  return class_prefix_of(address).target_class;
}

bool opens(const Cidr& named, const Address& address, TargetClass target_class) noexcept {
  switch (target_class) {
    case TargetClass::public_space:
      return true;
    case TargetClass::metadata:
    case TargetClass::self:
      return named.length == width(named.base);
    default:
      return class_prefix_of(address).contains(named);
  }
}

std::optional<TargetClass> hard_class_opened_by(const Cidr& named) noexcept {
  if (named.length == width(named.base) && is_metadata(named.base)) return TargetClass::metadata;
  const ClassPrefix& row = class_prefix_of(named.base);
  if (!is_hard(row.target_class) || !row.contains(named)) return std::nullopt;
  return row.target_class;
}

}  // namespace stile::policy
