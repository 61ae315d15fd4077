#include "cli/run.h"

#include <fmt/core.h>

#include <cstdio>

#include "base/assert.h"
#include "cli/pages.h"
#include "config/keys.h"

namespace stile::cli {
namespace {

int run_completions(const Arguments& arguments, const Environment&) {
  return print(Answer{completion_script(arguments.operand)});
}

int run_man(const Arguments& arguments, const Environment&) {
  if (arguments.operand.empty()) return print(Answer{man_page()});
  return print(Answer{man_page(*find_command(arguments.operand))});
}

int run_config_reference(const Arguments&, const Environment&) {
  return print(Answer{config::reference_markdown()});
}

struct Entry {
  std::string_view name;
  int (*run)(const Arguments& arguments, const Environment& environment);
};

constexpr Entry entries[] = {
    {"serve", run_serve},       {"helper", run_helper},
    {"check", run_check},       {"explain", run_explain},
    {"fmt", run_fmt},           {"import", run_import},
    {"reload", run_reload},     {"upstreams", run_upstreams},
    {"counters", run_counters}, {"user", run_user},
    {"usage", run_usage},       {"connect", run_connect},
    {"ping", run_ping},         {"trace", run_trace},
    {"run", run_program},       {"forward", run_forward},
    {"test", run_survey},       {"gateway", run_gateway},
    {"bench", run_bench},       {"completions", run_completions},
    {"man", run_man},           {"config-reference", run_config_reference},
    {"preload-carrier", run_preload_carrier},
};

}  // namespace

int run(const Arguments& arguments) {
  for (const Entry& entry : entries) {
    if (entry.name == arguments.command->name) return entry.run(arguments, process_environment());
  }
  STILE_ASSERT(false);  // the table of commands has one that has no entry here
}

int print(const BadSettings& bad) {
  for (const Fault& fault : bad.faults) fmt::print(stderr, "{}\n", to_text(fault));
  return bad.exit_code;
}

}  // namespace stile::cli
