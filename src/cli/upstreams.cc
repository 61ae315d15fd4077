// stile upstreams
#include "cli/control_command.h"
#include "cli/server_report.h"

namespace stile::cli {

int run_upstreams(const Arguments& arguments, const Environment& environment) {
  return run_control(arguments, environment, admin::Request::upstreams, "cannot show the upstreams",
                     "nothing is known of its upstreams", upstreams_table);
}

}  // namespace stile::cli
