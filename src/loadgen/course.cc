#include "loadgen/course.h"

#include <utility>

#include "base/assert.h"

namespace stile::loadgen {

Way::Way(std::optional<Endpoint> first_hop, std::vector<Endpoint> origins)
    : first_hop_(first_hop), origins_(std::move(origins)) {
  STILE_ASSERT(!origins_.empty());
  const Address& peer = first_hop_ ? first_hop_->address : origins_.front().address;
  spread_sources_ = Cidr::parse("127.0.0.0/8")->contains(peer);
}

Way::Leg Way::next() noexcept {
  const std::uint64_t round = taken_++ / connections_per_address;
  Leg leg;
  leg.origin = origins_[round % origins_.size()];
  leg.first_hop = first_hop_.value_or(leg.origin);
  const auto host = static_cast<std::uint8_t>(1 + round % limits::bench_addresses);
  // The first ones come from where the kernel sends from by itself, as any client does.
  if (spread_sources_ && host != 1) leg.source = Address::v4(127, 0, 0, host);
  return leg;
}

}  // namespace stile::loadgen
