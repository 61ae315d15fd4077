// What an association knows in one turn of the datagrams before: those that bear the same header go the same way, and
// need not be decoded, looked up or decided. Threading: values, of one turn. Tested through udp_association_test.cc.
#pragma once

#include <cstring>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "base/udp_drop.h"
#include "relay/udp_association.h"
#include "wire/udp_header.h"
#include "wire/wire_buffer.h"

namespace stile::relay {

[[nodiscard]] inline bool begins_with(ConstBytes datagram, ConstBytes header) noexcept {
  return !header.empty() && datagram.size() >= header.size() &&
         std::memcmp(datagram.data(), header.data(), header.size()) == 0;
}

/// The last datagram that went up.
struct LastWay {
  ConstBytes header{};  // by which the client sent it
  Endpoint to{};
  Association::Side* side = nullptr;
  DatagramTerms* terms = nullptr;
  ConstBytes head{};                          // through other proxies: what goes in front of the payload,
  std::size_t outer_octets = 0;               // so much of it for the proxies themselves,
  protect::DatagramLayers* layers = nullptr;  // by which the whole is wrapped

  [[nodiscard]] bool is_that_of(ConstBytes datagram) const noexcept { return begins_with(datagram, header); }
  /// Where it leads in the end.
  [[nodiscard]] Target target() const;
};

/// The last sender towards the client.
struct LastSender {
  std::optional<Endpoint> from;
  bool expected = false;
  DatagramTerms* terms = nullptr;
  std::optional<wire::WireBuffer<wire::udp_header_octets_max>> header;
};

/// The last answer that came through other proxies.
struct LastAnswer {
  ConstBytes header{};  // all that stood in front of its payload
  Target from;
  bool expected = false;
  DatagramTerms* terms = nullptr;
  ConstBytes head{};  // what the client gets in its place
};

}  // namespace stile::relay
