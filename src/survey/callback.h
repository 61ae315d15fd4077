// What this host opens so that a proxy can be seen to work without a third party: a listener that echoes streams, a
// socket that echoes datagrams, and a port where nobody listens, all at the address by which the proxy may reach this
// host. They know who came. Served by whoever drives the engine. Bounded: streams and what each may hold.
// Threading: one engine's thread. Tested by tests/e2e/survey_test.py.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/address.h"
#include "engine/engine.h"

namespace stile::survey {

class Callback {
 public:
  /// nullptr where nothing can be opened at `local`. `engine` outlives it. `port`: of the streams; 0: any.
  [[nodiscard]] static std::unique_ptr<Callback> open(engine::Engine& engine, const Address& local,
                                                      std::uint16_t port = 0);
  ~Callback();
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;

  [[nodiscard]] const Endpoint& streams() const noexcept { return streams_at_; }
  [[nodiscard]] const Endpoint& datagrams() const noexcept { return datagrams_at_; }
  /// Connections to it are refused.
  [[nodiscard]] const Endpoint& closed() const noexcept { return closed_at_; }
  /// Who came, the last one behind.
  [[nodiscard]] const std::vector<Endpoint>& callers() const noexcept { return callers_; }
  [[nodiscard]] const std::vector<Endpoint>& senders() const noexcept { return senders_; }

 private:
  class Guest;

  explicit Callback(engine::Engine& engine) noexcept;
  [[nodiscard]] bool listen(const Address& local, std::uint16_t port);
  void on_caller(engine::Status status);
  void on_datagram(engine::Status status);

  engine::Engine& engine_;
  engine::Socket listener_;
  engine::Socket socket_;
  Endpoint streams_at_;
  Endpoint datagrams_at_;
  Endpoint closed_at_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::vector<Endpoint> callers_;
  std::vector<Endpoint> senders_;
};

}  // namespace stile::survey
