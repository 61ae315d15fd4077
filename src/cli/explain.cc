// stile explain
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/identity.h"
#include "cli/run.h"
#include "config/loopback.h"
#include "policy/explain.h"
#include "policy/words.h"
#include "sys/own_addresses.h"

namespace stile::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Request {
  Address source;
  policy::Command command = policy::Command::tcp;
  Target target;
};

using RequestOrMistake = std::expected<Request, std::string>;

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// HOST:PORT with IPv6 addresses in brackets; the port may be left out where the command has none.
std::expected<Target, std::string> parse_target(std::string_view text, bool port_needed) {
  constexpr std::string_view form = "expected HOST:PORT, such as example.com:443 or [2001:db8::1]:443";
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  const bool bare_ipv6 = bracket == std::string_view::npos && std::ranges::count(text, ':') > 1;
  const bool has_port =
      !bare_ipv6 && colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  if (!has_port && port_needed) return std::unexpected(std::string(form));
  std::string_view host = text.substr(0, has_port ? colon : text.size());
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto canonical = canonical_host(host);
  if (!canonical) {
    return std::unexpected(fmt::format("no host may be called so: {}", name(canonical.error().rejection)));
  }
  const std::optional<std::uint16_t> port = has_port ? parse_port(text.substr(colon + 1)) : std::uint16_t{0};
  if (!port || (has_port && *port == 0)) return std::unexpected("the port is not a number from 1 to 65535");
  return Target{*canonical, *port};
}

RequestOrMistake parse_request(const Arguments& arguments) {
  Request request;
  const std::string source = arguments.value("--source").value_or("127.0.0.1");
  const auto address = Address::parse(source);
  if (!address)
    return std::unexpected(fmt::format("cannot use --source {}: expected an IP address", policy::quoted(source)));
  request.source = *address;
  const std::string word = arguments.value("--command").value_or("connect");
  const auto command = policy::command_named(word);
  if (!command) {
    return std::unexpected(
        fmt::format("cannot use --command {}: expected connect, udp, bind, ping or resolve", policy::quoted(word)));
  }
  request.command = *command;
  const auto text = arguments.value("--target");
  if (!text) return std::unexpected("cannot explain: no target is given (add --target HOST:PORT)");
  const bool port_needed = *command != policy::Command::ping && *command != policy::Command::resolve;
  const auto target = parse_target(*text, port_needed);
  if (!target) {
    return std::unexpected(fmt::format("cannot use --target {}: {}", policy::quoted(*text), target.error()));
  }
  request.target = *target;
  return request;
}

policy::OwnAddresses own_addresses_of(const config::Config& config) {
  policy::OwnAddresses own;
  if (auto routes = sys::own_addresses()) own.local_routes = std::move(*routes);
  for (const config::Listener& listener : config.listeners) {
    if (!listener.is_unix()) own.sockets.push_back(listener.address);
  }
  for (const config::Outside* const outside : {&config.udp.outside, &config.bind.outside}) {
    for (const Address& address : outside->advertise) own.local_routes.push_back(Cidr::host(address));
  }
  return own;
}

std::string_view decision_word(policy::Verdict::Decision decision) {
  switch (decision) {
    case policy::Verdict::Decision::allow:
      return "allow";
    case policy::Verdict::Decision::deny:
      return "deny";
    case policy::Verdict::Decision::undecided:
      break;
  }
  return "undecided";
}

Json rule_json(const policy::RuleInfo& rule) {
  Json object = {{"name", rule.name}, {"text", rule.text}};
  if (rule.line != 0) object["line"] = rule.line;
  return object;
}

std::string as_json(const policy::Explanation& explanation) {
  Json object = {{"decision", decision_word(explanation.verdict.decision)},
                 {"reason", token(explanation.verdict.reason)},
                 {"rule", nullptr},
                 {"facets", Json::array()},
                 {"near_misses", Json::array()}};
  if (explanation.rule) object["rule"] = rule_json(*explanation.rule);
  for (const policy::Facet& facet : explanation.facets) {
    object["facets"].push_back({{"address", facet.address.to_string()},
                                {"class", policy::name(facet.target_class)},
                                {"form", policy::name(facet.form)}});
  }
  for (const policy::NearMiss& miss : explanation.near_misses) {
    object["near_misses"].push_back({{"rule", rule_json(miss.rule)}, {"detail", miss.detail}});
  }
  if (!explanation.opening_rule.empty()) object["opening_rule"] = explanation.opening_rule;
  return object.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

// Rules count their lines from the start of their text; people look for them in the file.
void place_in_file(policy::RuleInfo& rule, const config::Config& config) {
  if (rule.line != 0 && config.policy != nullptr) rule.line += config.policy_rules_line - 1;
}

policy::Explanation explanation_of(const Request& request, const config::Config& config, const policy::Query& query) {
  const policy::OwnAddresses own = own_addresses_of(config);
  const policy::Policy built_in =
      config::is_loopback(request.source) ? policy::Policy::loopback_preset() : policy::Policy::deny_all();
  policy::Explanation explanation = policy::explain(config.policy != nullptr ? *config.policy : built_in, query, own);
  if (explanation.rule) place_in_file(*explanation.rule, config);
  for (policy::NearMiss& miss : explanation.near_misses) place_in_file(miss.rule, config);
  return explanation;
}

}  // namespace

int run_explain(const Arguments& arguments, const Environment& environment) {
  const auto request = parse_request(arguments);
  if (!request) {
    fmt::print(stderr, "stile: {}\n", request.error());
    return exit_usage;
  }
  const auto settings = load_settings(arguments, environment);
  if (!settings) return print(settings.error());
  const Identity anonymous = Identity::anonymous();
  policy::Query query{.who = &anonymous,
                      .source = request->source,
                      .command = request->command,
                      .target = &request->target,
                      .candidate = std::nullopt};
  if (const Address* address = request->target.address()) query.candidate = *address;
  const policy::Explanation explanation = explanation_of(*request, settings->config, query);
  return print(Answer{arguments.has("--json") ? as_json(explanation) : policy::to_text(explanation, query)});
}

}  // namespace stile::cli
