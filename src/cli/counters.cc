// stile counters
#include "cli/control_command.h"
#include "cli/server_report.h"

namespace stile::cli {

int run_counters(const Arguments& arguments, const Environment& environment) {
  return run_control(arguments, environment, admin::Request::counters, "cannot show the counters",
                     "nothing is known of its counters", counters_table);
}

}  // namespace stile::cli
