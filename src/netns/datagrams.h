// Datagrams of the programs in a private network, through upstreams: each of their sockets is a client of its own
// (server/datagram_flows.h). Answers are whole packets, in the name of whom was asked. Threading: one engine's thread.
// Tested in tests/e2e/run_udp_test.py.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "server/datagram_flows.h"
#include "sys/unique_fd.h"

namespace stile::netns {

class Datagrams {
 public:
  /// All outlive it. `reporter` is told of each association; nullptr: nobody is.
  Datagrams(engine::EpollEngine& engine, resolve::Resolver& resolver, server::DatagramFlows::Way way,
            resolve::StandInNames& names, server::Reporter* reporter);
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;
  /// When it is quiet.
  ~Datagrams();

  /// Those of one family: sys::open_addressed_datagrams, to which they are diverted, and sys::open_packet_source, by
  /// which they are answered.
  void serve(sys::UniqueFd diverted, sys::UniqueFd source);
  /// What has come is sent, and then all is closed; the engine is stopped when it is quiet.
  void finish();
  /// Gives up what waits as well.
  void stop() noexcept { flows_.stop(); }
  [[nodiscard]] bool quiet() const noexcept { return flows_.quiet(); }

 private:
  class Entrance;

  engine::EpollEngine& engine_;
  resolve::StandInNames& names_;
  server::DatagramFlows flows_;
  std::unique_ptr<std::uint8_t[]> room_;  // where they are received
  std::vector<std::unique_ptr<Entrance>> entrances_;
};

}  // namespace stile::netns
