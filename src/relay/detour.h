// A way through other proxies for the datagrams of one association, as the relay sees it: whoever knows how to open one
// is behind this (server/datagram_ways.h). Several rules may lead by the same one.
// Threading: one engine's thread. Tested in udp_detour_test.cc.
#pragma once

#include <optional>

#include "base/address.h"
#include "base/udp_drop.h"
#include "engine/engine.h"
#include "protect/datagram_layers.h"
#include "wire/nested_headers.h"

namespace stile::relay {

class Detour {
 public:
  /// As long as it is open.
  struct Path {
    Endpoint relay;                             // where every datagram goes, and from where every answer comes
    engine::Egress from;                        // has an address: datagrams from another one are not taken there
    wire::NestedHeaders& headers;               // of the relays behind it
    protect::DatagramLayers* layers = nullptr;  // by which relays want them wrapped; null: none does
  };

  virtual ~Detour() = default;
  Detour(const Detour&) = delete;
  Detour& operator=(const Detour&) = delete;

  /// Absent: it is not open. Of what it said before, nothing holds behind a change (Association::detour_changed).
  [[nodiscard]] virtual std::optional<Path> path() noexcept = 0;
  /// Begins to open what is closed, of which `first` is the first target; a change follows, never inline. While it is
  /// under way, nothing more. Otherwise why it cannot be at present.
  [[nodiscard]] virtual std::optional<UdpDrop> open(const Target& first) = 0;
  /// Why datagrams that waited for it, or would have to, are dropped.
  [[nodiscard]] virtual UdpDrop failure() const noexcept = 0;
  /// Nobody uses it any longer; a change follows where it was not closed.
  virtual void close() noexcept = 0;

 protected:
  Detour() noexcept = default;
};

}  // namespace stile::relay
