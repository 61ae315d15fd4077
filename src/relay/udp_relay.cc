#include "relay/udp_relay.h"

#include <algorithm>

#include "relay/udp_association.h"
#include "relay/udp_buffers.h"

namespace stile::relay {
namespace {

// A wide range that others on this host have filled is not searched to its end: each look is a system call.
constexpr int binds_max = 1'024;

}  // namespace

std::optional<std::uint16_t> claimed_port(const Target* claimed, const Address& client) noexcept {
  if (claimed == nullptr) return std::uint16_t{0};
  const Address* const address = claimed->address();
  if (address == nullptr || (*address != client && !address->is_unspecified())) return std::nullopt;
  return claimed->port;
}

UdpRelay::UdpRelay(engine::Engine& engine, resolve::Resolver& resolver, LiveSockets& live, std::size_t held_octets_max)
    : engine_(engine), resolver_(resolver), live_(live), held_octets_max_(held_octets_max) {}

UdpRelay::~UdpRelay() {
  STILE_ASSERT(first_ == nullptr && held_octets_ == 0);
}

Result<Association*> UdpRelay::open(const AssociationRequest& request, AssociationOwner& owner) {
  engine::Socket socket;
  const auto bound = bind(socket, request);
  if (!bound) return std::unexpected(bound.error());
  if (buffers_ == nullptr) buffers_ = std::make_unique<UdpBuffers>();
  auto* const association = new Association(*this, owner, request);
  link(*association);
  association->start(socket, *bound);
  return association;
}

// From a random port of the range on, each once. Ports of our own relays are passed over without asking the system.
Result<Endpoint> UdpRelay::bind(engine::Socket& socket, const AssociationRequest& request) {
  const PortRange& range = request.ports;
  const std::uint64_t offset = range.first == 0 ? 0 : engine_.random() % range.size();
  Result<void> opened = std::unexpected(Error{ErrorKind::address_in_use, 0});
  int binds = 0;
  for (std::uint32_t i = 0; i < range.size() && binds < binds_max; ++i) {
    const auto port = static_cast<std::uint16_t>(range.first + (offset + i) % range.size());
    if (port != 0 && live_.holds({request.local, port})) continue;
    opened = engine_.open_udp(socket, {request.local, port});
    ++binds;
    if (opened || opened.error().kind != ErrorKind::address_in_use) break;
  }
  if (!opened) return std::unexpected(opened.error());
  const auto bound = engine_.local_endpoint(socket);
  if (!bound) engine_.close(socket);
  return bound;
}

void UdpRelay::end_all(Reason reason) noexcept {
  for (Association* association = first_; association != nullptr;) {
    Association* const next = association->next_;  // ending one may release it
    association->end(reason);
    association = next;
  }
}

void UdpRelay::link(Association& association) noexcept {
  association.next_ = first_;
  association.previous_next_ = &first_;
  if (first_ != nullptr) first_->previous_next_ = &association.next_;
  first_ = &association;
  ++associations_;
}

void UdpRelay::release(Association& association) noexcept {
  *association.previous_next_ = association.next_;
  if (association.next_ != nullptr) association.next_->previous_next_ = association.previous_next_;
  delete &association;
}

}  // namespace stile::relay
