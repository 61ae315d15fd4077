// The datagram sockets that a whole process offers to clients at present: relays of UDP ASSOCIATE on every worker. None
// of them is ever a target, in any encoding of its address, so that no two relays can be aimed at each other (security
// reference, TU5). One object a process, which all workers share.
// Refuses: to judge any other address; that is the policy.
// Threading: any thread. `reaches` takes no lock for a port that no socket of ours bears, which is nearly always.
// Tested in live_sockets_test.cc.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "base/address.h"

namespace stile::relay {

class LiveSockets {
 public:
  LiveSockets();
  LiveSockets(const LiveSockets&) = delete;
  LiveSockets& operator=(const LiveSockets&) = delete;
  /// All must have been removed (asserted).
  ~LiveSockets();

  /// An endpoint may be added more than once; it counts until it was removed as often.
  void add(const Endpoint& socket);
  void remove(const Endpoint& socket);

  /// True for this very endpoint.
  [[nodiscard]] bool holds(const Endpoint& socket) const;
  /// True where a datagram to `target` would come to a socket of ours: the address itself, or an IPv4 address that is
  /// embedded in it (security reference, 3.3).
  [[nodiscard]] bool reaches(const Endpoint& target) const;
  /// In order of address and port.
  [[nodiscard]] std::vector<Endpoint> list() const;

 private:
  using PortCounts = std::array<std::atomic<std::uint32_t>, 65'536>;

  [[nodiscard]] bool port_in_use(std::uint16_t port) const noexcept {
    return (*ports_)[port].load(std::memory_order_acquire) != 0;
  }

  std::unique_ptr<PortCounts> ports_;  // how many of sockets_ bear a port
  mutable std::mutex mutex_;
  std::multiset<Endpoint> sockets_;  // under mutex_
};

}  // namespace stile::relay
