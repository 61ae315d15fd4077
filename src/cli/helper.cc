// stile helper
#include "cli/run.h"
#include "server/helper_unit.h"

namespace stile::cli {

int run_helper(const Arguments& arguments, const Environment& environment) {
  const auto config = load_configuration_alone(arguments, environment);
  if (!config) return print(config.error());
  return server::serve_helper(*config);
}

}  // namespace stile::cli
