// ICMP echoes of the programs in a private network, by PING through the proxy: whoever is asked there is probed from
// where the proxy stands, once a second as long as somebody asks, and a program has its answer after the time that the
// last probe took; the first one, after the time that it really takes. What the proxy does not reach is not answered.
// Refuses: more than one proxy in a row, and proxies other than SOCKS5, which have no PING; errors, which a program
// would have to take for those of its own network.
// Threading: one engine's thread. Tested in tests/e2e/run_udp_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "route/chain.h"
#include "sys/unique_fd.h"

namespace stile::netns {

class Pings {
 public:
  /// All outlive it. `proxy`: nullptr where there is none that could be asked; then loopback alone answers.
  Pings(engine::EpollEngine& engine, resolve::Resolver& resolver, const route::Hop* proxy,
        resolve::StandInNames& names);
  Pings(const Pings&) = delete;
  Pings& operator=(const Pings&) = delete;
  /// When it is quiet.
  ~Pings();

  /// Those of one family: sys::open_echo_requests and sys::open_packet_source.
  void serve(Family family, sys::UniqueFd requests, sys::UniqueFd source);
  /// Ends all; the engine is stopped when it is quiet.
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept { return stopping_ && runs_.empty(); }

 private:
  class Entrance;
  class Run;

  void arrived(Entrance& entrance, const Address& from, const Address& called, ConstBytes message);
  void ended(const Run& run) noexcept;

  engine::EpollEngine& engine_;
  resolve::Resolver& resolver_;
  const route::Hop* proxy_;
  resolve::StandInNames& names_;
  std::vector<std::unique_ptr<Entrance>> entrances_;
  std::map<Host, std::unique_ptr<Run>> runs_;  // by whom they are about
  bool stopping_ = false;
};

}  // namespace stile::netns
