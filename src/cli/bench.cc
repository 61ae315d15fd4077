// stile bench
#include <fmt/core.h>

#include <cstdio>

#include "cli/bench_options.h"
#include "cli/bench_output.h"
#include "cli/client_command.h"
#include "cli/run.h"
#include "loadgen/run.h"
#include "sys/terminal.h"

namespace stile::cli {
namespace {

int run_origin(const Arguments& arguments) {
  const auto origin = parse_bench_origin(arguments);
  if (!origin) return complain(origin.error(), exit_usage);
  const loadgen::Options none;
  const auto show = make_bench_show(none, false);
  const session::Advice trouble = loadgen::run_origin(origin->local, origin->offload, *show);
  if (trouble.why.empty()) return exit_done;
  return complain(fmt::format("stile: cannot listen on {}: {}", origin->local.to_string(), with_cure(trouble)),
                  exit_failed);
}

}  // namespace

int run_bench(const Arguments& arguments, const Environment& environment) {
  if (arguments.operand == "origin") return run_origin(arguments);
  const auto request = parse_bench(arguments, environment);
  if (!request) return complain(request.error(), exit_usage);
  if (!request->warning.empty()) fmt::print(stderr, "{}\n", request->warning);
  const loadgen::Options& load = request->load;
  const bool terminal = sys::is_terminal(sys::standard_error);
  const auto show = make_bench_show(load, terminal);
  const loadgen::Outcome outcome = loadgen::run_load(load, *show);
  clear_bench_line(terminal);
  if (!outcome.trouble.why.empty()) {
    const std::string way = load.proxy ? "through " + load.proxy->url.to_string() : "without a proxy";
    return complain(fmt::format("stile: cannot bench {} {}: {}", arguments.operand, way, with_cure(outcome.trouble)),
                    exit_failed);
  }
  const auto text = arguments.has("--json") ? bench_json : bench_text;
  const int printed = print(Answer{text(load, outcome.figures)});
  return outcome.succeeded() ? printed : exit_failed;
}

}  // namespace stile::cli
