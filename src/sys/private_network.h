// A network of its own for a program, without root: a user namespace, because only its owner may make a network, and
// in it a network namespace whose only device is loopback, so that nothing can leave it. Every address is local there
// (loopback_setup.h), packet rules say what becomes of what is sent, and sockets that are opened inside are handed out
// (SCM_RIGHTS), for use from this process's own network.
// A process of this program's own, the keeper, makes it and holds it open; it ends with whoever made it. Who enters
// keeps user and groups; root keeps all of them, an ordinary user is the only one there.
// Refuses: to be a wall against a hostile program of the same user, which has other ways to speak with processes
// outside. Blocking; the main thread of a process that has no other. Tested in private_network_test.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "sys/process.h"
#include "sys/unique_fd.h"

namespace stile::sys {

struct PrivateNetworkPlan {
  /// A socket to open inside.
  struct Opening {
    enum class Kind : std::uint8_t {
      diverted_listener,
      addressed_datagrams,
      echo_requests,  // of these two, `local` is the family alone
      packet_source,
      arriving_stream,  // whose address is another's
      socket_ends,      // `local` is not looked at
    };
    Kind kind;
    Endpoint local;
  };

  std::vector<Address> addresses;  // its own, one of each family at most; the first one must be possible
  std::string rules;               // packet_rules.h
  std::vector<Opening> openings;   // at most 16 (asserted)
};

/// What could not be done. Up to `identity` it is this system's word on whether its users may have a network at all.
struct PrivateNetworkRefusal {
  enum class Step : std::uint8_t { process, user_namespace, network_namespace, identity, loopback, rules, sockets };
  Step step = Step::process;
  Error error;
  std::string told;  // by whoever did it; may be empty
};

class PrivateNetwork {
 public:
  [[nodiscard]] static std::expected<PrivateNetwork, PrivateNetworkRefusal> create(const PrivateNetworkPlan& plan);

  /// In the order of the plan; one of a family that this system does not have is not open.
  std::vector<UniqueFd> sockets;

  /// One more, while it is in use. Asks the keeper and waits for it, which has nothing else to do.
  [[nodiscard]] Result<UniqueFd> open(const PrivateNetworkPlan::Opening& opening) const;

  /// Moves the calling process there, which must have one thread and be a child of the one that made the network. It
  /// has every right inside until it executes a program.
  [[nodiscard]] Result<void> enter() const noexcept;

 private:
  PrivateNetwork(Process keeper, UniqueFd link) noexcept : keeper_(std::move(keeper)), link_(std::move(link)) {}

  Process keeper_;
  UniqueFd link_;  // its end is the keeper's
};

}  // namespace stile::sys
