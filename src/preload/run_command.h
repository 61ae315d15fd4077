// A command whose programs have libstile-preload.so loaded, and the carrier that it talks to; for systems whose users
// may have no private network (netns/run_command.h). And the carrier alone, for programs that were started with the
// library by hand. Blocking. Threading: main thread, while there is no other. Tested in tests/e2e/preload_test.py.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "preload/message.h"
#include "route/upstreams.h"

namespace stile::preload {

struct RunPlan {
  std::vector<std::string> words;        // the command; at least one
  std::vector<std::string> environment;  // all of it, "NAME=VALUE"
  std::string library;                   // the path of libstile-preload.so, absolute
  route::UpstreamPlans upstreams;        // the way out: through all of them, in this order
  bool tells = false;                    // of each connection, on standard error
  bool lenient = false;                  // programs that the library cannot be loaded into are run, with a warning
};

/// Why there was no run, and what to do about it.
struct RunRefusal {
  std::string what;  // "carry programs"
  std::string why;
  std::string cure;           // may be empty
  bool is_command = false;    // the command itself could not, or must not, be executed:
  bool is_not_found = false;  // there is none of that name
};

/// The command's exit code, or 128 and the signal that ended it.
[[nodiscard]] std::expected<int, RunRefusal> run_command(const RunPlan& plan);

/// Goes to the background once programs may ask, and stays there for as long as there are programs that did; the exit
/// code of what stays. Where others carry them already, that is all.
[[nodiscard]] std::expected<int, RunRefusal> carry_programs(const Keys& keys, const route::UpstreamPlans& upstreams);

}  // namespace stile::preload
