// stile forward
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <expected>
#include <string>
#include <utility>

#include "base/loopback.h"
#include "cli/client_command.h"
#include "cli/proxy_choice.h"
#include "cli/run.h"
#include "forward/run_forward.h"
#include "policy/words.h"

namespace stile::cli {
namespace {

std::unexpected<std::string> unusable(std::string_view what, const std::string& text, const forward::SpecError& error) {
  return std::unexpected(
      fmt::format("stile: cannot use {} {}: {} ({})", what, policy::quoted(text), error.why, error.cure));
}

/// All but the upstreams. The error is a whole message.
std::expected<forward::Plan, std::string> plan_of(const Arguments& arguments) {
  forward::Plan plan{.manner = {.json = arguments.has("--json"), .every_connection = arguments.has("--verbose")}};
  for (const std::string& text : arguments.rest) {
    auto parsed = forward::parse_forward(text);
    if (!parsed) return unusable("FORWARD", text, parsed.error());
    plan.forwards.push_back(*std::move(parsed));
  }
  if (const auto given = arguments.flags.find("--reverse"); given != arguments.flags.end()) {
    for (const std::string& text : given->second) {
      auto parsed = forward::parse_reverse(text);
      if (!parsed) return unusable("--reverse", text, parsed.error());
      plan.reverses.push_back(*std::move(parsed));
    }
  }
  if (plan.forwards.empty() && plan.reverses.empty()) {
    return std::unexpected(
        "stile: cannot forward: nothing is named (write LISTEN=TARGET, such as 8080=www.example:80)");
  }
  if (const auto text = arguments.value("--from")) {
    const auto host = canonical_host(*text);
    if (!host) return unusable("--from", *text, {"no host may be called so", "write a name or an address"});
    plan.from = *host;
  }
  return plan;
}

bool carries_names(const forward::Plan& plan) {
  return std::ranges::any_of(plan.forwards, [](const auto& one) { return one.target.host_name() != nullptr; });
}

// What listens there is open to others, and what they send goes out in this user's name.
void warn_of_others(const forward::Plan& plan) {
  for (const forward::Forward& forward : plan.forwards) {
    if (forward.at.empty() || is_loopback(forward.at.front().address)) continue;
    fmt::print(stderr, "stile: warning: whoever reaches {} goes through the proxy as you do\n", forward.place());
  }
}

}  // namespace

int run_forward(const Arguments& arguments, const Environment& environment) {
  auto plan = plan_of(arguments);
  if (!plan) return complain(plan.error(), exit_usage);
  auto choices = choose_proxies(arguments, environment);
  if (!choices) return complain(choices.error(), exit_usage);
  warn(*choices, carries_names(*plan));
  warn_of_others(*plan);
  if (plan->manner.every_connection) {
    fmt::print(stderr, "stile: through {}\n", text_of(*choices));
    tell_of_no_proxy(environment);
  }
  plan->upstreams = way_through(*std::move(choices));
  const auto refusal = forward::run_forward(*plan);
  if (!refusal) return exit_done;
  return complain(fmt::format("stile: cannot {}: {}", refusal->what, with_cure(refusal->advice)), exit_failed);
}

}  // namespace stile::cli
