// Which port of the client's address an association serves: the one that its first well-formed datagram came from, and
// no other until that has been silent for a while (protocol reference, 3.3 "Pinning"; it survives NAT rebinding). With
// a claimed port (udp.claimed_source = require) that one alone, for ever.
// Pure: time is an argument. Refuses: to look at addresses; the caller has compared them. Tested in port_pin_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace stile::relay {

class PortPin {
 public:
  /// `claimed` 0: none. `repin` zero: the first port stays.
  PortPin(std::uint16_t claimed, Duration repin) noexcept : repin_(claimed == 0 ? repin : Duration::zero()) {
    if (claimed != 0) port_ = claimed;
  }

  enum class Standing : std::uint8_t {
    pinned,
    may_pin,   // its first well-formed datagram pins it
    stranger,  // another port is pinned
  };

  [[nodiscard]] Standing judge(std::uint16_t port, Instant now) const noexcept {
    if (port_ && *port_ == port) return Standing::pinned;
    const bool vacant = !port_ || (repin_ > Duration::zero() && now - last_heard_ >= repin_);
    return vacant ? Standing::may_pin : Standing::stranger;
  }

  /// A datagram came from `port`, which is the pinned one or, well-formed, from one that may pin.
  void heard(std::uint16_t port, Instant now) noexcept {
    port_ = port;
    last_heard_ = now;
  }

  /// Where answers go; absent before the first.
  [[nodiscard]] std::optional<std::uint16_t> port() const noexcept { return port_; }

 private:
  Duration repin_;
  std::optional<std::uint16_t> port_;
  Instant last_heard_{};
};

}  // namespace stile::relay
