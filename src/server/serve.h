// A whole server in this process: workers on their threads, the main thread waiting for signals. The only place that
// wires real engines, resolvers and sinks together. Tested in tests/e2e.
#pragma once

#include <functional>
#include <memory>

#include "server/control.h"
#include "server/front.h"

namespace stile::server {

/// Serves until SIGTERM or SIGINT (drain: stop accepting, let tunnels end until the limit, then end them; a second
/// signal ends them at once). The configuration was validated and its exposures refused before. Prints a banner on
/// standard error and access records on standard output.
/// On SIGHUP, and where Control::reload is asked for, `load` reads the configuration that takes the place of the one in
/// force; absent: there is no file, and nothing to reload. `attend` is called once the server listens; what it returns
/// begins once the server has given up what it can (enclosure.h), and is kept until it ends. Nothing returned: it could
/// not start.
/// `front`, which may be null, outlives the call and is served as well.
/// Returns the process's exit code: 0 after a clean end, 1 when it could not start.
using Attend = std::function<std::unique_ptr<Attendant>(Control&)>;
[[nodiscard]] int serve(Configuration configuration, LoadConfiguration load = nullptr, const Attend& attend = nullptr,
                        Front* front = nullptr);

}  // namespace stile::server
