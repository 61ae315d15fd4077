// stile ping, stile trace
#include <fmt/core.h>

#include <cstdio>

#include "base/limits.h"
#include "base/number.h"
#include "cli/client_command.h"
#include "cli/probe_output.h"
#include "cli/proxy_choice.h"
#include "cli/run.h"
#include "client/run_probe.h"
#include "policy/words.h"

namespace stile::cli {
namespace {

using OptionsOrMistake = std::expected<client::ProbeOptions, std::string>;

OptionsOrMistake parse_options(const Arguments& arguments, bool trace) {
  client::ProbeOptions options{.trace = trace};
  const auto host = host_operand(arguments);
  if (!host) return std::unexpected(host.error());
  options.target = *host;
  if (arguments.has("--numeric")) options.flags |= client::probe_no_names;
  if (arguments.has("--verbose")) options.flags |= client::probe_verbose;
  if (const auto text = arguments.value("--count")) {
    const auto count = whole_number<std::uint32_t>(*text, limits::ping_probes_max);
    if (!count || *count == 0) {
      return std::unexpected(fmt::format("stile: cannot use --count {}: expected a number from 1 to {}",
                                         policy::quoted(*text), limits::ping_probes_max));
    }
    options.count = *count;
  }
  return options;
}

int run_probe_command(const Arguments& arguments, const Environment& environment, bool trace) {
  const auto options = parse_options(arguments, trace);
  if (!options) return complain(options.error(), exit_usage);
  const auto choice = choose_proxy(arguments, environment);
  if (!choice) return complain(choice.error(), exit_usage);
  if (!choice->warning.empty()) fmt::print(stderr, "{}\n", choice->warning);
  const auto output = make_probe_output(
      {.json = arguments.has("--json"), .quiet = arguments.has("--quiet"), .verbose = arguments.has("--verbose")},
      stdout, stderr);
  const client::ProbeResult result = client::run_probe(choice->proxy, *options, *output);
  const session::Advice& trouble = result.trouble;
  if (trouble.why.empty()) return result.succeeded ? exit_done : exit_failed;
  return complain(fmt::format("stile: cannot {} {} through {}: {}", arguments.command->name, to_string(options->target),
                              choice->proxy.url.to_string(), with_cure(trouble)),
                  exit_failed);
}

}  // namespace

int run_ping(const Arguments& arguments, const Environment& environment) {
  return run_probe_command(arguments, environment, false);
}

int run_trace(const Arguments& arguments, const Environment& environment) {
  return run_probe_command(arguments, environment, true);
}

}  // namespace stile::cli
