// What `stile upstreams` and `stile counters` show of a running server, as tables for people. Nothing that the server
// says reaches a terminal but as printable characters. Pure. Tested in server_report_test.cc.
#pragma once

#include <string>

#include "server/control.h"

namespace stile::cli {

/// A line a server of an upstream. Where workers do not agree on its state, it says how many of them see which.
[[nodiscard]] std::string upstreams_table(const server::UpstreamReport& report);

/// A line a counter, with what it counts; the reasons for ends and drops; a line a resolver.
[[nodiscard]] std::string counters_table(const server::CounterReport& report);

}  // namespace stile::cli
