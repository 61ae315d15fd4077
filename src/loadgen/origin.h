// The far end of every tunnel: echoes messages and datagrams, and sends and checks bulk streams (origin_messages.h).
// Built into a run, or on its own as `stile bench origin`. Refuses: to answer who does not speak the load generator's
// own messages; to send more than it got, but for a bulk stream, which its client has asked for over a connection that
// stands. Threading: one engine's thread. Tested by tests/e2e/bench_test.py.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "loadgen/echo_port.h"
#include "loadgen/pattern.h"

namespace stile::loadgen {

class Origin {
 public:
  /// `scratch` has room for Pattern::piece_octets_max; it and `room` are used within one completion only.
  Origin(engine::EpollEngine& engine, const Pattern& pattern, MutableBytes scratch, DatagramRoom& room) noexcept;
  ~Origin();
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;

  /// Port 0 lets the kernel choose. The endpoint it is.
  [[nodiscard]] Result<Endpoint> listen(const Endpoint& local);
  [[nodiscard]] Result<Endpoint> open_udp(const Endpoint& local, bool offload);
  /// Closes everything; what was pending is completed by the engine's next turn.
  void close() noexcept;

  /// Octets of bulk streams that arrived, in all.
  [[nodiscard]] std::uint64_t octets_received() const noexcept { return octets_received_; }

 private:
  class Connection;
  class Listener;

  void admit(engine::Socket& accepted);
  void release(Connection& connection) noexcept;

  engine::EpollEngine& engine_;
  const Pattern& pattern_;
  MutableBytes scratch_;
  DatagramRoom& room_;
  std::uint64_t octets_received_ = 0;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<EchoPort>> ports_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> free_;
};

}  // namespace stile::loadgen
