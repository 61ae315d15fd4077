// ICMP echoes of the programs in a private network, or of the machines behind a gateway, by PING through the proxy:
// whoever is asked there is probed from where the proxy stands, once a second as long as somebody asks, and a program
// has its answer after the time that the last probe took; the first one, after the time that it really takes. What the
// proxy does not reach is not answered. Refuses: more than one proxy in a row, and proxies other than SOCKS5, which
// have no PING; errors, which a program would have to take for those of its own network. Threading: one engine's
// thread. Tested in tests/e2e/run_udp_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "netns/ping_judge.h"
#include "netns/traces.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "route/chain.h"
#include "sys/diverted_socket.h"
#include "sys/unique_fd.h"

namespace stile::netns {

class Pings {
 public:
  /// All outlive it. Loopback answers whatever the judge says.
  Pings(engine::EpollEngine& engine, resolve::Resolver& resolver, PingJudge& judge, resolve::StandInNames& names);
  Pings(const Pings&) = delete;
  Pings& operator=(const Pings&) = delete;
  /// When it is quiet.
  ~Pings();

  /// Takes those that are probes of a trace; outlives it. Before `serve`.
  void trace_by(Traces& traces) noexcept { traces_ = &traces; }
  /// Those of one family: sys::open_echo_requests and sys::open_packet_source.
  void serve(Family family, sys::UniqueFd requests, sys::UniqueFd source);
  /// Ends all; the engine is stopped when it is quiet.
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept { return stopping_ && runs_.empty(); }

 private:
  class Entrance;
  class Run;

  void arrived(Entrance& entrance, const sys::AddressedDatagram& request, ConstBytes message);
  void ended(const Run& run) noexcept;

  engine::EpollEngine& engine_;
  resolve::Resolver& resolver_;
  PingJudge& judge_;
  resolve::StandInNames& names_;
  Traces* traces_ = nullptr;
  std::vector<std::unique_ptr<Entrance>> entrances_;
  std::map<std::pair<Host, const route::Hop*>, std::unique_ptr<Run>> runs_;  // by whom they are about, and who probes
  bool stopping_ = false;
};

}  // namespace stile::netns
