#include "wire/nested_headers.h"

#include <variant>

#include "base/assert.h"

namespace stile::wire {
namespace {

/// The header's address and length, if it is one that counts.
std::expected<NestedHeaders::Answer, UdpDrop> read(ConstBytes octets) {
  const auto decoded = decode_udp_header(octets);
  const auto* const header = std::get_if<Parsed<UdpHeader>>(&decoded);
  if (header == nullptr) return std::unexpected(UdpDrop::header);
  auto from = header->value.address.target();
  if (!from || from->port == 0) return std::unexpected(UdpDrop::header);
  if (!header->value.fragment.stands_alone()) return std::unexpected(UdpDrop::fragment);
  return NestedHeaders::Answer{.from = *std::move(from), .consumed = header->consumed};
}

}  // namespace

NestedHeaders::NestedHeaders(std::span<const Target> behind) {
  STILE_ASSERT(behind.size() < limits::chain_hops_max);
  for (const Target& relay : behind) {
    relays_.push_back({.at = relay, .heard_from = {}});
    const auto header = encode_udp_header(relay);
    outer_.insert(outer_.end(), header.octets().begin(), header.octets().end());
  }
}

std::expected<NestedHeaders::Answer, UdpDrop> NestedHeaders::peel(ConstBytes datagram) {
  std::size_t consumed = 0;
  for (Relay& relay : relays_) {
    const auto header = read(datagram.subspan(consumed));
    if (!header) return header;
    if (!is_of(relay, header->from)) return std::unexpected(UdpDrop::reply);
    consumed += header->consumed;
  }
  auto innermost = read(datagram.subspan(consumed));
  if (innermost) innermost->consumed += consumed;
  return innermost;
}

bool NestedHeaders::is_of(Relay& relay, const Target& from) {
  if (from == relay.at) return true;
  const Address* const address = from.address();
  if (relay.at.address() != nullptr || address == nullptr || from.port != relay.at.port) return false;
  if (!relay.heard_from) relay.heard_from = *address;
  return *relay.heard_from == *address;
}

}  // namespace stile::wire
