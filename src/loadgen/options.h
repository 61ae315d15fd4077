// What one run of the load generator is to do. Values. Read from a command line by cli/bench_options.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/time.h"
#include "loadgen/pattern.h"
#include "route/chain.h"

namespace stile::loadgen {

enum class Mode : std::uint8_t {
  down,         // octets from the origin, over long-lived tunnels
  up,           // octets to the origin
  both,         // both at once
  round_trips,  // a message and its echo, over long-lived tunnels
  connections,  // open, handshake, one message echoed, close
  handshakes,   // open, handshake, close
  idle,         // tunnels that are only held
  datagrams,    // datagrams and their echoes, through associations
};

[[nodiscard]] constexpr bool is_bulk(Mode mode) noexcept {
  return mode == Mode::down || mode == Mode::up || mode == Mode::both;
}

struct Options {
  Mode mode = Mode::down;
  std::optional<route::Hop> proxy;  // absent: direct
  std::optional<Endpoint> origin;   // absent: one of its own, on loopback
  std::size_t connections = 16;     // at once
  std::size_t size = 64;            // octets of a message or a datagram's payload
  Duration measured = std::chrono::seconds(5);
  Duration warmup = std::chrono::milliseconds(500);
  std::optional<std::uint64_t> rate;  // open loop: operations a second in all
  Verify verify = Verify::full;
  std::size_t window = 32;  // datagrams under way, an association
  bool offload = false;     // of datagrams: segmentation both ways
};

}  // namespace stile::loadgen
