// The origin's end of the udp mode: sends back what speaks the load generator's own messages, and drops the rest.
// Threading: one engine's thread. Tested by tests/e2e/bench_test.py.
#pragma once

#include "loadgen/datagram_port.h"

namespace stile::loadgen {

class EchoPort {
 public:
  /// `room` is used within one completion only.
  EchoPort(engine::EpollEngine& engine, DatagramRoom& room) noexcept : port_(engine), room_(room) {
    port_.bind<&EchoPort::on_ready>(this);
  }

  [[nodiscard]] Result<Endpoint> open(const Endpoint& local, bool offload);
  void close() noexcept { port_.close(); }

 private:
  void on_ready(engine::Status status);
  bool echo_batch();

  DatagramPort port_;
  DatagramRoom& room_;
};

}  // namespace stile::loadgen
