// A whole server in this process: workers on their threads, the main thread waiting for signals. The only place that
// wires real engines, resolvers and sinks together. Tested in tests/e2e.
#pragma once

#include "config/config.h"

namespace stile::server {

/// Serves until SIGTERM or SIGINT (drain: stop accepting, let tunnels end until the limit, then end them; a second
/// signal ends them at once). The configuration was validated and its exposures refused before. Prints a banner on
/// standard error and access records on standard output.
/// Returns the process's exit code: 0 after a clean end, 1 when it could not start.
[[nodiscard]] int serve(const config::Config& config);

}  // namespace stile::server
