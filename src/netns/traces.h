// traceroute(8) in a private network or behind a gateway, by TRACEROUTE through the proxy: a datagram or an echo
// request that may go no further than a few hops is not sent on but answered by whoever stands there on the way that
// the proxy found, with an ICMP error in that router's name, or by the target itself. Each is answered after the time
// that a probe of the proxy's to there took; while the proxy's own trace is under way, as soon as it is that far. A hop
// that does not answer the proxy, or that its policy hides, does not answer here either; one whose address is of
// another family than the probe's cannot. What one proxy found is told to nobody who is to ask another. Refuses: more
// than one proxy in a row, and proxies other than SOCKS5. What a proxy without TRACEROUTE leaves open is for others,
// and so is what nobody may be asked about: `take` is false then. Threading: one engine's thread. Tested in
// tests/e2e/run_trace_test.py and gateway_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "engine/epoll/epoll_engine.h"
#include "netns/ping_judge.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "route/chain.h"
#include "server/packet_source.h"
#include "sys/unique_fd.h"
#include "wire/ip_packet.h"

namespace stile::netns {

class Traces {
 public:
  /// All outlive it.
  Traces(engine::EpollEngine& engine, resolve::Resolver& resolver, PingJudge& judge, resolve::StandInNames& names);
  Traces(const Traces&) = delete;
  Traces& operator=(const Traces&) = delete;
  /// When it is quiet.
  ~Traces();

  /// sys::open_packet_source, of one family.
  void answer_by(Family family, sys::UniqueFd source);

  /// A datagram that was sent to go so far, `hops` (0: unknown), and an echo request. False: it is for others.
  [[nodiscard]] bool take(const Endpoint& from, const Endpoint& called, std::uint8_t hops, ConstBytes payload);
  [[nodiscard]] bool take(const Address& from, const Address& called, std::uint8_t hops, const wire::Echo& echo);

  /// Ends all; the engine is stopped when it is quiet.
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept { return stopping_ && runs_.empty(); }

 private:
  class Run;

  /// Whose way is asked for, and of whom.
  struct Matter {
    Host target;
    std::shared_ptr<const route::Hop> proxy;
  };
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

  /// Who cannot trace, and until when that is taken for granted.
  struct Refusal {
    std::weak_ptr<const route::Hop> proxy;
    Instant until{};
  };

  [[nodiscard]] std::optional<Matter> matter_of(const Address& from, const Address& called, std::uint8_t hops);
  [[nodiscard]] bool refuses(const route::Hop& proxy);
  void ask(Matter matter, Question question);
  void send(const Address& to, ConstBytes packet) const;
  void refused(const std::shared_ptr<const route::Hop>& proxy);
  void ended(const Run& run) noexcept;

  engine::EpollEngine& engine_;
  resolve::Resolver& resolver_;
  PingJudge& judge_;
  resolve::StandInNames& names_;
  server::PacketSource source_v4_{sys::UniqueFd()};
  server::PacketSource source_v6_{sys::UniqueFd()};
  std::map<std::pair<Host, const route::Hop*>, std::unique_ptr<Run>> runs_;  // by whom they lead to, and who probes
  std::vector<Refusal> refusals_;                                            // one a proxy
  bool stopping_ = false;
};

}  // namespace stile::netns
