// One run of the load generator, from its sockets to its figures: the origin, one rehearsed connection that says in
// words what does not work, the load, the warm-up, the measured time, the drain. And the origin alone. Everything
// happens on the calling thread, on one engine. Tested by tests/e2e/bench_test.py.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/address.h"
#include "base/time.h"
#include "loadgen/histogram.h"
#include "loadgen/options.h"
#include "session/proxy_failure.h"

namespace stile::loadgen {

/// What is shown while it runs.
struct Progress {
  Duration elapsed{};  // of the measured time; 0 while warming up
  std::uint64_t operations = 0;
  double per_second = 0;  // since the last progress
};

class Show {
 public:
  virtual ~Show() = default;
  /// Twice a second, but for the opening.
  virtual void progress(const Progress& progress) = 0;
  /// In the idle mode, once all tunnels are open or have failed.
  virtual void holding(std::size_t tunnels) = 0;
  /// The origin alone: it listens.
  virtual void listening(const Endpoint& at) = 0;
};

struct Figures {
  double seconds = 0;                  // measured
  double warmup = 0;                   // seconds, as they were
  std::uint64_t operations = 0;        // that ended in the measured time; idle: tunnels that still echoed
  std::uint64_t operations_total = 0;  // with warm-up and drain
  std::uint64_t octets = 0;            // of payload, as the operations
  std::uint64_t octets_total = 0;
  double per_second = 0;  // operations
  Histogram latency;      // empty in the bulk modes
  std::map<std::string, std::uint64_t, std::less<>> errors;
  std::uint64_t wrong = 0;  // streams, messages or datagrams that were not what was sent
  std::uint64_t drops = 0;
  std::uint64_t behind = 0;  // open loop: operations that were due and not begun at the end
  double cpu_seconds = 0;    // of this process, over the measured time
};

struct Outcome {
  Figures figures;
  session::Advice trouble;  // why there are no figures; empty: there are

  /// Something worked, and nothing was wrong.
  [[nodiscard]] bool succeeded() const noexcept {
    return trouble.why.empty() && figures.operations_total > 0 && figures.wrong == 0;
  }
};

/// Blocks the signals SIGINT and SIGTERM for the process: the first one ends the run early with the figures so far.
[[nodiscard]] Outcome run_load(const Options& options, Show& show);

/// Serves until SIGINT or SIGTERM. Why it could not; empty: it did.
[[nodiscard]] session::Advice run_origin(const Endpoint& local, bool offload, Show& show);

}  // namespace stile::loadgen
