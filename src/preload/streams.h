// TCP connections of programs behind libstile-preload.so, through upstreams. A program's socket is bound to a loopback
// address and calls at one place, where nobody answers; by the address that it calls from it is known whom it means.
// Once the way there is open, or has come to nothing, it is met (sys/meeting_socket.h): then its own connect ends, with
// a connection or an error, and not before. Names go on as they are.
// Bounded by the ports that there are to call from. Threading: one engine's thread. Tested in
// tests/e2e/preload_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "engine/epoll/epoll_engine.h"
#include "preload/message.h"
#include "relay/tcp_relay.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "route/upstreams.h"
#include "server/worker.h"
#include "sys/meeting_socket.h"

namespace stile::preload {

class Streams final : public relay::TunnelOwner {
 public:
  struct Way {
    route::Upstreams& upstreams;
    std::vector<std::string> via;
  };
  /// All outlive it. `reporter`: nullptr where nobody is told.
  Streams(engine::EpollEngine& engine, resolve::Resolver& resolver, Way way, resolve::StandInNames& names,
          server::Reporter* reporter, std::vector<sys::SilentListener> places);
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  /// After `settle`.
  ~Streams() override;

  /// As of Kind::stream. The way is set out on at once.
  [[nodiscard]] Answer begin(const Endpoint& local, const Endpoint& called);
  /// The socket there calls, or never will.
  void go(const Endpoint& local);
  /// As of Kind::about.
  [[nodiscard]] Answer about(const Endpoint& local, const Endpoint& peer) const;

  /// Connections end when nothing has moved for this long, and what is not open yet is given up.
  void finish(Duration quiet_for);
  /// All end.
  void stop() noexcept;
  /// Nothing is open or under way; behind `finish` the engine is stopped when it becomes so.
  [[nodiscard]] bool quiet() const noexcept { return live_ == 0; }
  /// Once it is quiet: closes what is left. Turns the engine.
  void settle();

 private:
  class Call;

  void tunnel_ended(const relay::TunnelEnd& end) noexcept override;
  void request_seen(void*, const wire::HttpSighting&) noexcept override {}
  void hello_seen(void*, const wire::TlsClientHello&) noexcept override {}
  [[nodiscard]] const sys::SilentListener* place_for(const Endpoint& local) const noexcept;
  void came_to_rest() noexcept;
  void on_sweep(engine::Status);

  engine::EpollEngine& engine_;
  resolve::Resolver& resolver_;
  Way way_;
  resolve::StandInNames& names_;
  server::Reporter* reporter_;
  std::vector<sys::SilentListener> places_;
  relay::Relay relay_;
  std::map<Endpoint, std::unique_ptr<Call>> calls_;  // the latest from there
  std::vector<std::unique_ptr<Call>> replaced_;      // whose address calls anew, and which are not at rest yet
  engine::Operation sweeping_;
  std::size_t live_ = 0;  // calls that have not come to their end
  bool finishing_ = false;
};

}  // namespace stile::preload
