// One mode at work: opens what is to stand before the start, operates until it is told to stop, and drains. What it did
// is in the course's tally.
// Threading: one engine's thread. Tested by tests/e2e/bench_test.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "engine/engine.h"
#include "loadgen/course.h"
#include "loadgen/datagram_port.h"
#include "loadgen/options.h"

namespace stile::loadgen {

class Load {
 public:
  /// The operations that a load completes, once each; they outlive it.
  struct Milestones {
    engine::Operation opened;   // all tunnels stand or have failed
    engine::Operation drained;  // behind `stop`: nothing is under way
  };

  virtual ~Load() = default;
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  virtual void open() = 0;
  /// Begins to operate, behind `opened`.
  virtual void start() = 0;
  /// Begins nothing more.
  virtual void stop() = 0;
  /// Closes everything; whatever was under way is counted as an error. What was pending is completed by the engine's
  /// next turn, and the load is destroyed only then.
  virtual void close() = 0;
  /// Tunnels or associations that stand.
  [[nodiscard]] virtual std::size_t standing() const noexcept = 0;
  /// Octets that went up so far, where nobody but the remote origin knows how many arrived.
  [[nodiscard]] virtual std::uint64_t octets_sent() const noexcept { return 0; }
  /// Open loop: operations that are due and not begun.
  [[nodiscard]] virtual std::uint64_t behind(Instant) const noexcept { return 0; }

 protected:
  Load() noexcept = default;
};

[[nodiscard]] std::unique_ptr<Load> make_bulk_load(Course& course, const Options& options,
                                                   Load::Milestones& milestones);
[[nodiscard]] std::unique_ptr<Load> make_round_trip_load(Course& course, const Options& options,
                                                         Load::Milestones& milestones);
[[nodiscard]] std::unique_ptr<Load> make_connection_load(Course& course, const Options& options,
                                                         Load::Milestones& milestones);
[[nodiscard]] std::unique_ptr<Load> make_idle_load(Course& course, const Options& options,
                                                   Load::Milestones& milestones);
/// `room` is used within one completion only.
[[nodiscard]] std::unique_ptr<Load> make_datagram_load(Course& course, DatagramRoom& room, const Options& options,
                                                       Load::Milestones& milestones);

inline constexpr std::string_view unanswered = "no answer before the end";

}  // namespace stile::loadgen
