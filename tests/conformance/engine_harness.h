// The fixture in which every engine is put through the same conformance suite. A test speaks to the engine through
// engine.h only, and owns nothing: sockets and pipes come from the fixture, which closes them and destroys the engine,
// whose own assertions then find what leaked.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace stile::engine::conformance {

struct EngineKind {
  const char* name;
  std::unique_ptr<Engine> (*make)();
  bool faultless;  // no spurious readiness, no short reads by chance
  // Leaves no descriptor to be had, until the returned function is called.
  std::function<void()> (*exhaust_descriptors)(Engine&);
  // Opens a listener at a Unix-domain socket; the returned function connects to it as this process's user, with an
  // operation pending or at once.
  std::function<void(Socket&)> (*listen_local)(Engine&, Socket& listener);
};

[[nodiscard]] const std::vector<EngineKind>& engine_kinds();

/// A socket that counts its completions.
struct Actor {
  Socket socket;
  int done = 0;
  int canceled = 0;
  std::function<void()> on_done;

  Actor() { socket.bind<&Actor::completed>(this); }
  void completed(Status status);
  [[nodiscard]] int completions() const { return done + canceled; }
};

/// An operation or timer that counts its completions.
template <class Record>
struct Counter {
  Record record;
  int done = 0;
  int canceled = 0;
  std::function<void()> on_done;

  Counter() { record.template bind<&Counter::completed>(this); }
  void completed(Status status) {
    (status == Status::done ? done : canceled)++;
    if (status == Status::done && on_done) on_done();
  }
  [[nodiscard]] int completions() const { return done + canceled; }
};

/// What was received until the stream ended.
struct Stream {
  std::string octets;
  bool fin = false;
  std::optional<Error> error;
};

class EngineTest : public testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override { engine_ = GetParam().make(); }
  void TearDown() override;

  [[nodiscard]] Engine& engine() { return *engine_; }
  [[nodiscard]] Actor& actor() { return actors_.emplace_back(); }
  [[nodiscard]] Pipe& pipe() { return pipes_.emplace_back(); }

  /// Runs the engine until `condition`, looked at every millisecond; false after `limit`.
  bool run_until(const std::function<bool()>& condition, Duration limit = std::chrono::seconds{10});
  /// Runs the engine for a while.
  void run_for(Duration duration);
  /// One turn that does not sleep.
  void run_once();

  [[nodiscard]] Endpoint listen_on(Actor& listener, const Address& address = Address::v4(127, 0, 0, 1));
  /// A connected socket and its accepted peer.
  struct Pair {
    Actor& connected;
    Actor& accepted;
  };
  [[nodiscard]] Pair connected_pair(const Address& address = Address::v4(127, 0, 0, 1));
  void accept_into(Actor& listener, Actor& accepted);

  /// Sends everything, waiting where the engine says so.
  void send_all(Actor& to, std::string_view octets);
  /// Receives exactly `count` octets.
  [[nodiscard]] std::string receive_exactly(Actor& from, std::size_t count);
  /// Receives until FIN or an error.
  [[nodiscard]] Stream receive_to_end(Actor& from);
  /// Waits once; false when it does not complete in time.
  bool wait_for(Actor& actor, Interest interest, Duration limit = std::chrono::seconds{10});

 private:
  std::unique_ptr<Engine> engine_;
  std::deque<Actor> actors_;  // a deque: operations must stay in place
  std::deque<Pipe> pipes_;
};

/// `size` octets that show their place.
[[nodiscard]] std::string pattern(std::size_t size);

[[nodiscard]] inline ConstBytes bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

[[nodiscard]] inline std::string kind_name(const testing::TestParamInfo<EngineKind>& info) {
  return info.param.name;
}

[[nodiscard]] bool has_ipv6(Engine& engine);

inline const Address loopback_v4 = Address::v4(127, 0, 0, 1);
inline const Address loopback_v6 = Address::parse("::1").value();

}  // namespace stile::engine::conformance
