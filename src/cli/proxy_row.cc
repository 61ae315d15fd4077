#include "cli/proxy_row.h"

#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace stile::cli {
namespace {

std::shared_ptr<const route::UpstreamPlan> plan_of(route::Hop hop, std::size_t number) {
  auto plan = std::make_shared<route::UpstreamPlan>();
  plan->settings.name = number == 0 ? std::string("proxy") : fmt::format("proxy-{}", number + 1);
  plan->settings.servers = {hop.url};
  plan->settings.servers.front().password.reset();
  plan->hops.push_back(std::move(hop));
  return plan;
}

constexpr std::array<std::string_view, 5> flags_of_one_proxy{"--password-file", "--ca", "--certificate", "--key",
                                                             "--gss-service"};

}  // namespace

std::expected<std::vector<ProxyChoice>, std::string> choose_proxies(const Arguments& arguments,
                                                                    const Environment& environment) {
  const auto given = arguments.flags.find("--via");
  const std::size_t count = given == arguments.flags.end() ? 1 : given->second.size();
  for (const std::string_view flag : flags_of_one_proxy) {
    if (count > 1 && arguments.has(flag)) {
      return std::unexpected(fmt::format("stile: cannot use {}: there are several proxies (give one --via)", flag));
    }
  }
  std::vector<ProxyChoice> choices;
  for (std::size_t i = 0; i < count; ++i) {
    Arguments one = arguments;
    if (given != arguments.flags.end()) one.flags["--via"] = {given->second[i]};
    auto choice = choose_proxy(one, environment);
    if (!choice) return std::unexpected(std::move(choice.error()));
    choices.push_back(*std::move(choice));
  }
  return choices;
}

void warn_of(const std::vector<ProxyChoice>& choices) {
  for (const ProxyChoice& choice : choices) {
    if (!choice.warning.empty()) fmt::print(stderr, "{}\n", choice.warning);
    if (choice.proxy.url.resolves_names) continue;
    fmt::print(stderr, "stile: warning: names are looked up here, by this host's resolver, for {} (write socks5h)\n",
               choice.proxy.url.to_string());
  }
}

route::UpstreamPlans plans_of(std::vector<ProxyChoice> choices) {
  route::UpstreamPlans plans;
  for (ProxyChoice& choice : choices) plans.push_back(plan_of(std::move(choice.proxy), plans.size()));
  return plans;
}

}  // namespace stile::cli
