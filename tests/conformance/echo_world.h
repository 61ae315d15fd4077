// A small world of routers for the echo tests: for the simulation a table, for epoll a network namespace of its own
// with a router next to it, which needs root. `near` routes to `far`, which is one hop further than a probe of one hop
// gets.
#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"

namespace stile::engine::conformance {

struct EchoWorld {
  virtual ~EchoWorld() = default;
  /// Before it, the system refuses sockets for echo requests.
  virtual void grant(bool datagram_sockets) = 0;

  Address near = Address::v4(10, 96, 0, 2);         // the router, which answers
  Address unreachable = Address::v4(10, 96, 1, 1);  // it says ICMP 3/1 of this one
  Address forbidden = Address::v4(10, 96, 2, 1);    // and 3/13 of this one
  Address far = Address::v4(10, 96, 3, 1);          // behind it
  Address near6 = Address::parse("fd96::2").value();
  Address unreachable6 = Address::parse("fd96:1::1").value();  // ICMPv6 1/0
  Address far6 = Address::parse("fd96:3::1").value();
};

/// nullptr and why, where it cannot be made. The thread's sockets from then on are in that world, until it is gone.
[[nodiscard]] std::unique_ptr<EchoWorld> make_echo_world(Engine& engine, std::string& why_not);

}  // namespace stile::engine::conformance
