#include "route/told_place.h"

namespace stile::route {

std::optional<Endpoint> told_place(const wire::AddressField& told, const Address& own) {
  const auto target = told.target();
  if (!target || target->address() == nullptr) return std::nullopt;
  return Endpoint{.address = target->address()->is_unspecified() ? own : *target->address(), .port = target->port};
}

Address own_address(std::span<const Hop* const> hops, const Address& dialled) {
  if (hops.size() == 1) return dialled;
  const Address* const named = hops.back()->url.server.address();
  return named != nullptr ? *named : Address();
}

}  // namespace stile::route
