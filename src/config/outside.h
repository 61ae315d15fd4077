// What the server shows to the outside: the ports that BIND and UDP ASSOCIATE open, the addresses that replies name,
// and the targets that are told who the client is. Values; pure. Tested in config_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/port_range.h"
#include "base/time.h"

namespace stile::config {

struct Outside {
  PortRange ports;                 // the default: any that the kernel chooses
  std::vector<Address> advertise;  // what this host is called outside, where it stands behind NAT; one a family at most

  /// The advertised address of that family.
  [[nodiscard]] std::optional<Address> advertised(Family family) const {
    for (const Address& address : advertise) {
      if (address.family() == family) return address;
    }
    return std::nullopt;
  }
};

/// UDP ASSOCIATE.
struct Udp {
  Outside outside;
  bool full_cone = false;      // answers come from anybody; else from addresses that the client has sent to
  bool reassemble = true;      // fragments; else they are dropped, RFC 1928's minimum
  bool require_claim = false;  // only the address and port that the request names may send
  Duration repin = limits::udp_repin;
  Duration mapping_idle = limits::udp_mapping_idle;
};

struct Bind {
  Outside outside;
  Duration wait = limits::bind_wait;
  bool mismatch_ends = false;  // another peer than the expected one ends a SOCKS5 BIND, as with Dante
};

/// Targets that take a PROXY header before anything else.
struct ProxyTarget {
  Cidr where;
  PortRange ports;  // 0 to 0: every port

  [[nodiscard]] bool contains(const Endpoint& target) const noexcept {
    const bool any_port = ports.first == 0;
    return where.contains(target.address) && (any_port || (ports.first <= target.port && target.port <= ports.last));
  }
};

struct ProxyProtocolTo {
  std::vector<ProxyTarget> targets;
  std::uint32_t version = 2;
};

}  // namespace stile::config
