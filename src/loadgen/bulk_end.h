// One end of a bulk tunnel, the client's or the origin's: a stream each way (stream.h), of which one or both carry
// pattern. It moves octets when it is told that its line is ready, at most one buffer each way, and waits again.
// Threading: one engine's thread. Its streams are tested in stream_test.cc, the rest by tests/e2e/bench_test.py.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/engine.h"
#include "loadgen/stream.h"
#include "protect/line.h"

namespace stile::loadgen {

class BulkEnd {
 public:
  enum class State : std::uint8_t {
    moving,  // a wait is started
    over,    // both trailers have passed, or a wrong octet was found and the report of it is sent
    lost,    // the tunnel ended before: `error`, or a FIN where there is none
  };
  enum class Side : std::uint8_t { client, origin };

  BulkEnd() noexcept = default;
  BulkEnd(const Pattern& pattern, const Preamble& preamble, Side side) noexcept;

  /// No more chunks. Only for the client: the origin's stream ends when the client's has.
  void finish() noexcept;
  /// Octets that were received already.
  void take(ConstBytes octets) noexcept { in_.take(octets); }
  /// `line` is open and nothing pending on it. `scratch` is used within the call.
  State turn(engine::Engine& engine, protect::Line& line, MutableBytes scratch);

  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  [[nodiscard]] std::uint64_t sent() const noexcept { return out_.sent(); }
  [[nodiscard]] std::uint64_t received() const noexcept { return in_.received(); }
  /// Once over: whether everything that either end sent arrived as it was.
  [[nodiscard]] bool was_right() const noexcept;

 private:
  [[nodiscard]] bool receive(engine::Engine& engine, protect::Line& line, MutableBytes scratch);
  [[nodiscard]] bool send(engine::Engine& engine, protect::Line& line);
  [[nodiscard]] bool over() const noexcept;

  StreamWriter out_;
  StreamChecker in_;
  Side side_ = Side::client;
  std::optional<Error> error_;
};

}  // namespace stile::loadgen
