// What the workers say of themselves, put together into what the control socket is asked for. Each worker knows its own
// connections only, so that two of them may well see the same server in different states. Pure; any thread. Tested in
// figures_test.cc.
#pragma once

#include <cstddef>
#include <vector>

#include "observe/counters.h"
#include "resolve/name_service.h"
#include "route/upstreams.h"
#include "server/control.h"

namespace stile::server {

/// One element a worker that answered. A server that only some of them know, in the middle of a reload, is listed with
/// what these say.
[[nodiscard]] UpstreamReport report_upstreams(std::size_t workers,
                                              const std::vector<std::vector<route::ServerFigures>>& answers);

[[nodiscard]] CounterReport report_counters(std::size_t workers, const observe::Totals& totals,
                                            const std::vector<std::vector<resolve::NameService::Figures>>& answers);

}  // namespace stile::server
