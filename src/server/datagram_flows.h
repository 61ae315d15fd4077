// Datagrams of clients that know of no proxy, through upstreams: one association (route/datagram_way.h) for each
// client, so that all who answer it, and whoever else learns its address, reach it. Names go on as they are. An answer
// comes from the address that the client called, or, where it comes from somebody else, from his own. What cannot go on
// is dropped, as a network does. Bounded: clients, targets and what waits for an association; idle ones are closed.
// Threading: one engine's thread. Tested by tests/e2e/run_udp_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "engine/engine.h"
#include "resolve/resolver.h"
#include "route/upstreams.h"
#include "server/worker.h"

namespace stile::server {

/// Where datagrams come in, and their answers go.
class DatagramEntrance {
 public:
  virtual ~DatagramEntrance() = default;
  /// Whom a client means that sends to this address; absent: nobody.
  [[nodiscard]] virtual std::optional<Target> meant_by(const Endpoint& called) = 0;
  /// Whether clients are to hear those whom they have not sent to.
  [[nodiscard]] virtual bool hears_strangers() const noexcept = 0;
  /// `from`: an address that the client called, or that of a stranger.
  virtual void answer(const Endpoint& from, const Endpoint& client, ConstBytes payload) = 0;
};

class DatagramFlows {
 public:
  struct Way {
    const route::Upstreams& upstreams;
    std::vector<std::string> via;
  };
  /// All outlive it. `reporter` is told of each association; nullptr: nobody is.
  DatagramFlows(engine::Engine& engine, resolve::Resolver& resolver, Way way, Reporter* reporter);
  DatagramFlows(const DatagramFlows&) = delete;
  DatagramFlows& operator=(const DatagramFlows&) = delete;
  /// When it is quiet (asserted).
  ~DatagramFlows();

  /// One more; `entrance` outlives what follows from it.
  void arrived(DatagramEntrance& entrance, const Endpoint& client, const Endpoint& called, ConstBytes payload);
  /// What waits is sent, and then all is closed; the engine is stopped when it is quiet.
  void finish();
  /// Gives up what waits as well.
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept { return finishing_ && flows_.empty(); }

 private:
  class Flow;
  using Key = std::pair<DatagramEntrance*, Endpoint>;

  void make_room() noexcept;
  void ended(const Flow& flow) noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  Way way_;
  Reporter* reporter_;
  std::unique_ptr<std::uint8_t[]> room_;  // where answers are received
  std::map<Key, std::unique_ptr<Flow>> flows_;
  bool finishing_ = false;
};

}  // namespace stile::server
