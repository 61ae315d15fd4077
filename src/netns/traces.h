// traceroute(8) in a private network, by TRACEROUTE through the proxy: a datagram or an echo request that may go no
// further than a few hops is not sent on but answered by whoever stands there on the way that the proxy found, with an
// ICMP error in that router's name, or by the target itself. Each is answered after the time that a probe of the
// proxy's to there took; while the proxy's own trace is under way, as soon as it is that far. A hop that does not
// answer the proxy, or that its policy hides, does not answer here either; one whose address is of another family than
// the probe's cannot. Refuses: more than one proxy in a row, and proxies other than SOCKS5. What a proxy without
// TRACEROUTE leaves open is for others: `takes` is false then. Threading: one engine's thread. Tested in
// tests/e2e/run_trace_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "engine/epoll/epoll_engine.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "route/approach.h"
#include "sys/unique_fd.h"
#include "wire/ip_packet.h"

namespace stile::netns {

class Traces {
 public:
  /// All outlive it. `proxy`: nullptr where there is none that could be asked.
  Traces(engine::EpollEngine& engine, resolve::Resolver& resolver, const route::Hop* proxy,
         resolve::StandInNames& names);
  Traces(const Traces&) = delete;
  Traces& operator=(const Traces&) = delete;
  /// When it is quiet.
  ~Traces();

  /// sys::open_packet_source, of one family.
  void answer_by(Family family, sys::UniqueFd source);

  /// What was sent to go so far, `hops` (0: unknown), is a probe.
  [[nodiscard]] bool takes(const Address& called, std::uint8_t hops);
  /// Such a datagram, and such an echo request.
  void ask(const Endpoint& from, const Endpoint& called, std::uint8_t hops, ConstBytes payload);
  void ask(const Address& from, const Address& called, std::uint8_t hops, const wire::Echo& echo);

  /// Ends all; the engine is stopped when it is quiet.
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept { return stopping_ && runs_.empty(); }

 private:
  class Run;

  /// What waits for an answer.
  struct Question {
    Address from;
    Address called;
    std::uint8_t hops = 0;
    Instant asked{};
    std::vector<std::uint8_t> packet;           // as a router quotes it
    std::vector<std::uint8_t> reply;            // by which the target answers; empty: by an error
    std::optional<Instant> due = std::nullopt;  // absent: not known yet
    std::optional<std::vector<std::uint8_t>> answer = std::nullopt;
  };

  void ask(Question question);
  void send(const Address& to, ConstBytes packet) const;
  void ended(const Run& run) noexcept;

  engine::EpollEngine& engine_;
  resolve::Resolver& resolver_;
  const route::Hop* proxy_;
  resolve::StandInNames& names_;
  sys::UniqueFd source_v4_;
  sys::UniqueFd source_v6_;
  std::map<Host, std::unique_ptr<Run>> runs_;  // by whom they lead to
  bool refused_ = false;
  bool stopping_ = false;
};

}  // namespace stile::netns
