// A whole PING or TRACEROUTE of the command line: an engine, a resolver and a run (probe.h) on a thread of their own,
// while the calling one waits for signals. The first SIGINT or SIGTERM asks the proxy for its statistics and the end, a
// second one ends at once.
// Threading: main thread, once a process, for it takes the signals over. Tested in tests/e2e/ping_test.py.
#pragma once

#include "client/probe.h"

namespace stile::client {

/// Blocks until the run has ended. `show` is told on another thread, and by nobody else meanwhile.
[[nodiscard]] ProbeResult run_probe(const route::Hop& proxy, const ProbeOptions& options, ProbeShow& show);

}  // namespace stile::client
