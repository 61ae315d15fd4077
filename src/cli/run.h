// The commands: one function each, in a file of its own. Each takes its parsed arguments and gives the process's exit
// code; data goes to standard output, everything else to standard error. Tested in cli_test.cc and tests/e2e.
#pragma once

#include <expected>
#include <functional>

#include "cli/options.h"
#include "cli/settings.h"

namespace stile::cli {

/// Runs the command that the arguments name.
[[nodiscard]] int run(const Arguments& arguments);

[[nodiscard]] int run_serve(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_helper(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_check(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_explain(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_fmt(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_import(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_reload(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_upstreams(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_counters(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_user(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_usage(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_connect(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_ping(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_trace(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_forward(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_survey(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_program(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_gateway(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_preload_carrier(const Arguments& arguments, const Environment& environment);
[[nodiscard]] int run_bench(const Arguments& arguments, const Environment& environment);

/// Serves as `load` says, and again as it says then where it names a file and a reload is asked for.
using LoadSettings = std::function<std::expected<Settings, BadSettings>()>;
[[nodiscard]] int serve_loaded(const LoadSettings& load);

/// Prints every fault on standard error; gives the exit code back.
int print(const BadSettings& bad);

}  // namespace stile::cli
