// The helper as a service of its own (`stile helper`): serves whichever servers connect to the socket that the service
// manager has opened, each by a process that judges as the helper of a server does (auth/helper.h) and ends with its
// connection. Refuses: peers that are neither root, nor this process's user, nor the user that servers run as.
// Threading: one thread; forks. Tested in tests/e2e/helper_unit_test.py.
#pragma once

#include "config/config.h"

namespace stile::server {

/// Until SIGTERM or SIGINT. The exit code: 0 then, 1 when it could not start.
[[nodiscard]] int serve_helper(const config::Config& config);

}  // namespace stile::server
