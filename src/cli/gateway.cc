// stile gateway
#include "netns/gateway.h"

#include <fmt/core.h>

#include <cstdio>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "cli/client_command.h"
#include "cli/proxy_choice.h"
#include "cli/run.h"
#include "netns/gateway_rules.h"

namespace stile::cli {
namespace {

constexpr std::string_view no_source =
    "cannot be a gateway: no machine is named (add --lan INTERFACE or --from NETWORK)";

/// Everything through these, in a row. What is near the proxy, but for what no network carries, is reached as well.
std::shared_ptr<const policy::Policy> policy_through(const route::UpstreamPlans& upstreams) {
  std::string via;
  policy::Upstreams traits;
  for (const auto& upstream : upstreams) {
    const std::string& name = upstream->settings.name;
    via += (via.empty() ? "" : " > ") + name;
    traits.emplace(name, policy::UpstreamTraits{.takes_names = upstream->settings.takes_names(), .hops = 1});
  }
  const std::string rules = fmt::format(
      "proxy: allow anyone to tcp udp any:1-65535, private:1-65535, cgnat:1-65535, reserved:1-65535 via {0}\n"
      "ping: allow anyone to ping any, private, cgnat, reserved via {0}\n",
      via);
  auto policy = policy::Policy::compile(rules, {}, traits);
  STILE_ASSERT(policy.has_value());
  return std::make_shared<const policy::Policy>(std::move(*policy));
}

/// A server for nobody but the machines that flags will name.
config::Config configuration_through(const route::UpstreamPlans& upstreams) {
  config::Config config;
  for (const auto& upstream : upstreams) {
    // What it takes to reach them the command knows already; here it would be looked for in files.
    wire::ProxyUrl& url = config.upstreams.emplace_back(upstream->settings).servers.front();
    url.user.reset();
    url.protection = wire::ProxyProtection::none;
  }
  config.policy = upstreams.empty() ? std::make_shared<const policy::Policy>(policy::Policy::deny_all())
                                    : policy_through(upstreams);
  // The machines are few, and nobody else is turned away by what one of them opens.
  config.limits.sessions_per_source = config.limits.sessions;
  config.limits.sessions_per_listener = config.limits.sessions;
  return config;
}

/// What flags without a value say, and whether there is anything to do.
std::expected<Settings, BadSettings> as_flags_say(std::expected<Settings, BadSettings> settings,
                                                  const Arguments& arguments) {
  if (!settings) return settings;
  config::Gateway& gateway = settings->config.gateway;
  if (!gateway.is_on()) return std::unexpected(BadSettings{exit_usage, {{"", 0, 0, std::string(no_source)}}});
  gateway.redirect = gateway.redirect || arguments.has("--redirect");
  gateway.applies_rules = gateway.applies_rules || arguments.has("--apply");
  return settings;
}

int print_script(const std::expected<Settings, BadSettings>& settings) {
  if (!settings) return print(settings.error());
  fmt::print("{}", netns::gateway_script(settings->config.gateway));
  return 0;
}

}  // namespace

int run_gateway(const Arguments& arguments, const Environment& environment) {
  const bool through = arguments.has("--via");
  const auto file = environment("STILE_CONFIG");
  const bool by_file = arguments.has("--config") || (!through && file && !file->empty());
  if (by_file && through) {
    return complain("stile: cannot use --via: the rules of the configuration say which way (leave one out)",
                    exit_usage);
  }
  if (by_file) {
    const auto load = [&] { return as_flags_say(load_server_settings(arguments, environment), arguments); };
    return arguments.has("--print") ? print_script(load()) : serve_loaded(load);
  }
  if (arguments.has("--print")) {
    return print_script(as_flags_say(load_settings_upon(configuration_through({}), arguments, environment), arguments));
  }
  auto choices = choose_proxies(arguments, environment);
  if (!choices) return complain(choices.error(), exit_usage);
  warn(*choices, true);
  const route::UpstreamPlans upstreams = way_through(*std::move(choices));
  return serve_loaded([&] {
    auto settings =
        as_flags_say(load_settings_upon(configuration_through(upstreams), arguments, environment), arguments);
    if (settings) settings->upstreams = upstreams;
    return settings;
  });
}

}  // namespace stile::cli
