// What does this proxy support? Every question of `stile test`, asked one after the other, each over connections of its
// own. Nothing is said to work that was not seen to: streams and datagrams have to come back from a listener of this
// host (callback.h), or from a target that the user names. Nobody else is asked for anything, but for
// one connection to where the proxy says that it listens.
// Refuses: to send a login, or anything else, inside a TLS whose certificate is not trusted; to send datagrams to
// another host than the proxy, whatever it says. Threading: one thread, once a process. Tested by
// tests/e2e/survey_test.py against other people's proxies.
#pragma once

#include <expected>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "route/upstreams.h"
#include "survey/report.h"

namespace stile::survey {

struct Plan {
  route::UpstreamPlans upstreams;    // the way, each of one server; the last one is in question
  bool callback = true;              // open listeners here
  std::vector<Target> targets;       // to connect to
  std::optional<Target> udp_target;  // answers a DNS question, or whatever it hears
  std::optional<HostName> name;      // to look up
};

/// Blocks. The error is of this host.
[[nodiscard]] Result<Report> run_survey(const Plan& plan);

/// The proxy let us in, and either a connection through it was seen to work or none could be tried.
[[nodiscard]] bool basics_work(const Report& report, const Plan& plan);

}  // namespace stile::survey
