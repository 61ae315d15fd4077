// What a server goes by that is a part of its user's own command (`stile run`): every connection goes
// through upstreams, all of them in turn, whatever it is to; and no limit is meant for clients that share a server.
// Pure. Tested by tests/e2e/run_test.py.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "route/upstreams.h"
#include "server/worker.h"

namespace stile::server {

/// Their names, in order: the value of `via`.
[[nodiscard]] std::vector<std::string> names_of(const route::UpstreamPlans& upstreams);

/// What an inside address means is for the proxy to say. `first`: rules that come before, whole lines.
[[nodiscard]] std::shared_ptr<Common> common_through(const route::UpstreamPlans& upstreams,
                                                     std::string_view first = {});

}  // namespace stile::server
