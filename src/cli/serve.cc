// stile serve
#include "server/serve.h"

#include <fmt/core.h>

#include <cstdio>

#include "cli/run.h"

namespace stile::cli {

int run_serve(const Arguments& arguments, const Environment& environment) {
  const auto settings = load_settings(arguments, environment);
  if (!settings) {
    const int exit_code = print(settings.error());
    const Fault& first = settings.error().faults.front();
    if (!first.file.empty()) {
      fmt::print(stderr, "stile: cannot start: {} is not a good configuration (correct what is listed above)\n",
                 first.file);
    }
    return exit_code;
  }
  // Security reference, 1.1: never an open proxy, whatever the file, the environment and the flags add up to.
  const std::vector<std::string> exposed = config::exposures(settings->config);
  for (const std::string& message : exposed) fmt::print(stderr, "stile: {}\n", message);
  if (!exposed.empty()) return exit_configuration;
  return server::serve(settings->config);
}

}  // namespace stile::cli
