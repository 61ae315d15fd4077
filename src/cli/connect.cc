// stile connect
#include <fmt/core.h>

#include <cstdio>
#include <expected>
#include <string>

#include "base/number.h"
#include "cli/client_command.h"
#include "cli/proxy_choice.h"
#include "cli/run.h"
#include "client/run_connect.h"
#include "policy/words.h"

namespace stile::cli {
namespace {

std::expected<Target, std::string> parse_target(const Arguments& arguments) {
  const auto host = host_operand(arguments);
  if (!host) return std::unexpected(host.error());
  const std::string& text = arguments.second_operand;
  const auto port = whole_number<std::uint16_t>(text);
  if (!port || *port == 0) {
    return std::unexpected(
        fmt::format("stile: cannot use PORT {}: expected a number from 1 to 65535", policy::quoted(text)));
  }
  return Target{.host = *host, .port = *port};
}

/// Which way is taken, and whose word that is.
std::string decision(const ProxyChoice& choice, const Target& target) {
  const std::string proxy = fmt::format("{} ({})", choice.proxy.url.to_string(), choice.where);
  if (const std::string* const entry = choice.no_proxy.entry_for(target)) {
    return fmt::format("stile: {} without {}: {} names it by {}", target.to_string(), proxy, choice.no_proxy_where,
                       policy::quoted(*entry));
  }
  const std::string unnamed =
      choice.no_proxy_where.empty() ? "" : fmt::format(": {} does not name it", choice.no_proxy_where);
  return fmt::format("stile: {} through {}{}", target.to_string(), proxy, unnamed);
}

}  // namespace

int run_connect(const Arguments& arguments, const Environment& environment) {
  const auto target = parse_target(arguments);
  if (!target) return complain(target.error(), exit_usage);
  const auto choice = choose_proxy(arguments, environment);
  if (!choice) return complain(choice.error(), exit_usage);
  if (!choice->warning.empty()) fmt::print(stderr, "{}\n", choice->warning);
  if (arguments.has("--verbose")) fmt::print(stderr, "{}\n", decision(*choice, *target));
  const bool directly = choice->no_proxy.covers(*target);
  const client::ConnectResult result = client::run_connect(directly ? nullptr : &choice->proxy, *target);
  const session::Advice& trouble = result.trouble;
  if (trouble.why.empty()) return exit_done;
  const std::string way = directly ? "without a proxy" : fmt::format("through {}", choice->proxy.url.to_string());
  return complain(fmt::format("stile: cannot {} {} {}: {}", result.connected ? "go on with" : "connect to",
                              target->to_string(), way, with_cure(trouble)),
                  exit_failed);
}

}  // namespace stile::cli
