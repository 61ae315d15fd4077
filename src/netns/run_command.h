// A whole `stile run` of the command line: a private network whose only way out is this process
// (sys/private_network.h), a command in it, and a server in this process (server/worker.h) that is handed the network's
// sockets and carries each of its connections through upstreams, by name where a name was asked for (stand_in_names.h).
// It ends when the command has ended and what it sent is delivered. What fails is closed by RST; nothing ever goes out
// in another way. Signals that processes send to this one are passed on to the command; those of a terminal reach it by
// themselves. Threading: main thread, once a process, before it has others. Tested in tests/e2e/run_test.py.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "route/upstreams.h"

namespace stile::netns {

struct RunPlan {
  std::vector<std::string> words;        // the command; at least one
  std::vector<std::string> environment;  // all of it, "NAME=VALUE"
  route::UpstreamPlans upstreams;        // the way out: through all of them, in this order
  bool tells = false;                    // of each connection, on standard error
};

/// Why there was no run, and what to do about it.
struct RunRefusal {
  std::string what;  // "make a private network"
  std::string why;
  std::string cure;           // may be empty
  bool is_system = false;     // this system lets this user have no private network
  bool is_command = false;    // the command itself could not be executed:
  bool is_not_found = false;  // there is none of that name
};

/// The command's exit code, or 128 and the signal that ended it.
[[nodiscard]] std::expected<int, RunRefusal> run_command(const RunPlan& plan);

}  // namespace stile::netns
