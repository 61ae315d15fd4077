// Datagrams of the programs in a private network, through upstreams: one association (route/datagram_way.h) for each
// socket that sends any, so that all who answer it, and whoever else learns its address, reach it. Names go on as they
// are. An answer comes from the address that the program called, or, where it comes from somebody else, from his own.
// What cannot go on is dropped, as a network does. Bounded: sockets, targets and what waits for an association; idle
// ones are closed. Threading: one engine's thread. Tested in tests/e2e/run_udp_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "engine/epoll/epoll_engine.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "route/upstreams.h"
#include "server/worker.h"
#include "sys/unique_fd.h"

namespace stile::netns {

class Datagrams {
 public:
  struct Way {
    const route::Upstreams& upstreams;
    std::vector<std::string> via;
  };
  /// All outlive it. `reporter` is told of each association; nullptr: nobody is.
  Datagrams(engine::EpollEngine& engine, resolve::Resolver& resolver, Way way, resolve::StandInNames& names,
            server::Reporter* reporter);
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
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept { return finishing_ && flows_.empty(); }

 private:
  class Entrance;
  class Flow;

  void arrived(Entrance& entrance, const Endpoint& client, const Endpoint& called, ConstBytes payload);
  void make_room() noexcept;
  void ended(const Flow& flow) noexcept;

  engine::EpollEngine& engine_;
  resolve::Resolver& resolver_;
  Way way_;
  resolve::StandInNames& names_;
  server::Reporter* reporter_;
  std::unique_ptr<std::uint8_t[]> room_;  // where they are received, and headers are put
  std::vector<std::unique_ptr<Entrance>> entrances_;
  std::map<Endpoint, std::unique_ptr<Flow>> flows_;  // by the program's socket
  bool finishing_ = false;
};

}  // namespace stile::netns
