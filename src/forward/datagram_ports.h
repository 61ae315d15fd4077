// The listeners of `stile forward` for UDP: what comes in is led to the one target of its listener, through the proxy,
// by an association of each client (server/datagram_flows.h), and whatever the target answers leaves from the address
// that the client has sent to. Others are not heard. Threading: one engine's thread. Tested in
// tests/e2e/forward_udp_test.py.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "resolve/resolver.h"
#include "server/datagram_flows.h"
#include "sys/diverted_socket.h"

namespace stile::forward {

class DatagramPorts {
 public:
  /// All outlive it.
  DatagramPorts(engine::EpollEngine& engine, resolve::Resolver& resolver, server::DatagramFlows::Way way,
                server::Reporter* reporter);
  DatagramPorts(const DatagramPorts&) = delete;
  DatagramPorts& operator=(const DatagramPorts&) = delete;
  /// When it is quiet.
  ~DatagramPorts();

  void serve(sys::OwnDatagrams socket, const Target& target);
  /// Ends all, with completions that follow.
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept { return flows_.quiet(); }

 private:
  class Port;

  engine::EpollEngine& engine_;
  server::DatagramFlows flows_;
  std::unique_ptr<std::uint8_t[]> room_;  // where they are received
  std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace stile::forward
