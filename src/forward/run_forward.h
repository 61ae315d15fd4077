// A whole `stile forward` of the command line: listeners of this process whose clients are led to fixed targets through
// upstreams, by a server (server/worker.h) for TCP, by associations (datagram_ports.h) for UDP, and by BIND the other
// way round (reverse.h). A client is told nothing: what fails is a reset. SIGINT, SIGTERM and SIGHUP end all at once.
// Threading: main thread, once a process, for it takes the signals over. Tested in tests/e2e/forward_test.py.
#pragma once

#include <optional>
#include <vector>

#include "base/address.h"
#include "forward/forward_spec.h"
#include "forward/teller.h"
#include "route/upstreams.h"
#include "session/proxy_failure.h"

namespace stile::forward {

struct Plan {
  std::vector<Forward> forwards;
  std::vector<Reverse> reverses;
  std::optional<Host> from;        // who may come to the reverse ones; absent: whomever the proxy lets in
  route::UpstreamPlans upstreams;  // the way: through all of them, each of one server, in this order
  Manner manner;
};

/// Why there was no forwarding, or no more of it: "cannot …: why (cure)".
struct Refusal {
  std::string what;
  session::Advice advice;
};

/// Blocks until a signal ends it, in order. Nothing is led anywhere before every listener of this host is open.
[[nodiscard]] std::optional<Refusal> run_forward(const Plan& plan);

}  // namespace stile::forward
