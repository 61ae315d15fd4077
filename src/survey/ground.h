// What the questions of a survey stand on: an engine and a resolver that are driven until one thing is done, which lets
// each question be read from top to bottom, while the listeners of this host (callback.h) answer in between.
// Threading: one thread. Tested by tests/e2e/survey_test.py.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "engine/epoll/epoll_engine.h"
#include "protect/line.h"
#include "resolve/resolver.h"
#include "route/chain.h"
#include "session/client_session.h"
#include "sys/wait_any.h"

namespace stile::survey {

struct Ground {
  engine::EpollEngine& engine;
  resolve::Resolver& resolver;
  std::vector<const route::Hop*> hops;

  [[nodiscard]] const route::Hop& proxy() const noexcept { return *hops.back(); }
  /// Until `thing`, whose completion stops the engine, is no longer pending.
  template <class Thing>
  void finish(const Thing& thing) const {
    while (thing.pending()) engine.run();
  }
};

/// Stops the engine when what it is bound to completes.
class Stopper {
 public:
  explicit Stopper(engine::Engine& engine) noexcept : engine_(engine) {}
  void on_done(engine::Status) { engine_.stop(); }

 private:
  engine::Engine& engine_;
};

/// A stream, read and written with a limit on each step.
class Stream {
 public:
  explicit Stream(const Ground& ground);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] protect::Line& line() noexcept { return line_; }
  /// False where it failed, or took too long; so do the others.
  [[nodiscard]] bool establish();
  [[nodiscard]] bool send(ConstBytes octets);
  /// At least one octet, at most so many; nothing at its end.
  [[nodiscard]] std::vector<std::uint8_t> receive(std::size_t octets_max);
  /// Exactly so many, or those before the end.
  [[nodiscard]] std::vector<std::uint8_t> receive_all(std::size_t octets);
  void close() noexcept;

 private:
  void on_ready(engine::Status) { ground_.engine.stop(); }
  [[nodiscard]] bool wait(engine::Interest interest);

  const Ground& ground_;
  protect::Line line_;
  engine::Timer deadline_;
};

/// One connection through all of the proxies, as route::Chain makes it.
struct Attempt {
  route::Trouble trouble;
  wire::AddressField bound;
  Endpoint peer;          // the first proxy's address
  Duration dial{};        // until it was reached
  Duration let_in{};      // from there until the last one let us in
  Duration granted{};     // from there to its reply
  Duration round_trip{};  // of octets through it, where some were sent
  bool silent = false;    // and none came back

  [[nodiscard]] bool ok() const noexcept { return trouble.obstacle == route::Obstacle::none; }
  /// The proxy's reply, or what stood in the way.
  [[nodiscard]] std::string text() const;
};

/// How long a step may take.
inline constexpr Duration step_wait = std::chrono::seconds(10);

/// `into`: takes the stream over where it is granted.
[[nodiscard]] Attempt attempt(const Ground& ground, std::span<const route::Hop* const> hops, const route::Ask& ask,
                              Stream* into = nullptr, Duration limit = step_wait);

/// A stream to the last proxy itself, through those before it, with not one octet of its own said; false: there is
/// none.
[[nodiscard]] bool approach(const Ground& ground, Stream& into);

}  // namespace stile::survey
