// stile explain
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/identity.h"
#include "base/loopback.h"
#include "base/number.h"
#include "cli/lookup.h"
#include "cli/run.h"
#include "policy/explain.h"
#include "policy/match.h"
#include "policy/option_values.h"
#include "policy/supposition.h"
#include "policy/words.h"
#include "server/name_settings.h"
#include "sys/local_clock.h"
#include "sys/own_addresses.h"

namespace stile::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Request {
  std::optional<std::string> user;                 // absent: anonymous
  std::optional<std::vector<std::string>> groups;  // absent: as the users file says
  Address source;
  policy::Command command = policy::Command::tcp;
  Target target;
  WeekTime at;
  std::optional<Address> resolving;
  bool may_ask_dns = true;
};

using RequestOrMistake = std::expected<Request, std::string>;

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
  const std::optional<std::uint16_t> port =
      has_port ? whole_number<std::uint16_t>(text.substr(colon + 1)) : std::uint16_t{0};
  if (!port || (has_port && *port == 0)) return std::unexpected("the port is not a number from 1 to 65535");
  return Target{*canonical, *port};
}

std::expected<void, std::string> parse_client(const Arguments& arguments, Request& request) {
  request.user = arguments.value("--user");
  const auto groups = arguments.flags.find("--group");
  if (groups != arguments.flags.end()) request.groups = groups->second;
  if (!request.user && request.groups) {
    return std::unexpected("cannot use --group: only a user is in groups (add --user)");
  }
  if (request.user && request.user->empty()) {
    return std::unexpected("cannot use --user '': a user has a name (leave it out for anonymous)");
  }
  return {};
}

// Groups that are given take the place of those that are known.
Identity client_of(const Request& request, const Settings& settings) {
  if (!request.user) return Identity::anonymous();
  const auto groups = request.groups ? request.groups : settings.groups_of(*request.user);
  return policy::Supposition::user(*request.user, groups.value_or(std::vector<std::string>{}));
}

std::expected<WeekTime, std::string> parse_time(const Arguments& arguments) {
  const auto text = arguments.value("--at");
  if (!text) {
    const auto now = std::chrono::system_clock::now();
    return sys::LocalClock{}.week_time(std::chrono::floor<std::chrono::microseconds>(now));
  }
  const std::size_t space = std::min(text->find(' '), text->size());
  auto at = policy::parse_day(std::string_view(*text).substr(0, space));
  const auto minute = policy::parse_minute(std::string_view(*text).substr(std::min(space + 1, text->size())));
  if (!at || !minute) {
    return std::unexpected(
        fmt::format("cannot use --at {}: expected a day and a time, such as \"mon 09:00\"", policy::quoted(*text)));
  }
  at->minute = *minute;
  return *at;
}

std::expected<Address, std::string> parse_address(std::string_view flag, const std::string& text) {
  const auto address = Address::parse(text);
  if (address) return *address;
  return std::unexpected(fmt::format("cannot use {} {}: expected an IP address", flag, policy::quoted(text)));
}

// Where to, and of a name the address that is to be taken for its own.
std::expected<void, std::string> parse_place(const Arguments& arguments, Request& request) {
  const auto text = arguments.value("--target");
  if (!text) return std::unexpected("cannot explain: no target is given (add --target HOST:PORT)");
  const auto target = parse_target(*text, policy::has_port(request.command));
  if (!target) {
    return std::unexpected(fmt::format("cannot use --target {}: {}", policy::quoted(*text), target.error()));
  }
  request.target = *target;
  request.may_ask_dns = !arguments.has("--no-dns");
  if (const auto resolving = arguments.value("--resolving-to")) {
    if (request.target.host_name() == nullptr) {
      return std::unexpected("cannot use --resolving-to: the target is an address, which resolves to nothing");
    }
    const auto address = parse_address("--resolving-to", *resolving);
    if (!address) return std::unexpected(address.error());
    request.resolving = *address;
  }
  return {};
}

RequestOrMistake parse_request(const Arguments& arguments) {
  Request request;
  if (auto client = parse_client(arguments, request); !client) return std::unexpected(std::move(client.error()));
  const auto source = parse_address("--source", arguments.value("--source").value_or("127.0.0.1"));
  if (!source) return std::unexpected(source.error());
  request.source = *source;
  const std::string word = arguments.value("--command").value_or("connect");
  const auto command = policy::command_named(word);
  if (!command) {
    return std::unexpected(
        fmt::format("cannot use --command {}: expected connect, udp, bind, ping or resolve", policy::quoted(word)));
  }
  request.command = *command;
  const auto at = parse_time(arguments);
  if (!at) return std::unexpected(at.error());
  request.at = *at;
  if (auto placed = parse_place(arguments, request); !placed) return std::unexpected(std::move(placed.error()));
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

// Everything that was decided: by the name, and by each of its addresses where they matter.
struct Answers {
  policy::Query query;
  policy::Explanation by_name;
  std::vector<policy::Explanation> by_address;
  std::vector<Address> addresses;  // of by_address
  std::string lookup_fault;        // why there are none
};

Json rule_json(const policy::RuleInfo& rule, const std::string& file) {
  Json object = {{"name", rule.name}, {"text", rule.text}};
  if (rule.line != 0 && !file.empty()) object["file"] = file;
  if (rule.line != 0) object["line"] = rule.line;
  return object;
}

Json to_json(const policy::Explanation& explanation, const std::string& file) {
  Json object = {{"decision", decision_word(explanation.verdict.decision)},
                 {"reason", token(explanation.verdict.reason)},
                 {"rule", nullptr},
                 {"options", explanation.options},
                 {"facets", Json::array()},
                 {"near_misses", Json::array()}};
  if (explanation.rule) object["rule"] = rule_json(*explanation.rule, file);
  for (const policy::Facet& facet : explanation.facets) {
    object["facets"].push_back({{"address", facet.address.to_string()},
                                {"class", policy::name(facet.target_class)},
                                {"form", policy::name(facet.form)}});
  }
  for (const policy::NearMiss& miss : explanation.near_misses) {
    object["near_misses"].push_back({{"rule", rule_json(miss.rule, file)}, {"detail", miss.detail}});
  }
  if (!explanation.opening_rule.empty()) object["opening_rule"] = explanation.opening_rule;
  return object;
}

// What the client is told: the first address that is allowed, else the last that is not.
const policy::Explanation& deciding(const Answers& answers) {
  if (answers.by_address.empty()) return answers.by_name;
  const auto allowed = std::ranges::find_if(answers.by_address, [](const policy::Explanation& explanation) {
    return explanation.verdict.decision == policy::Verdict::Decision::allow;
  });
  return allowed == answers.by_address.end() ? answers.by_address.back() : *allowed;
}

/// The way of what was allowed, where the rule says `via`.
struct ExplainedWay {
  std::vector<const config::Upstream*> upstreams;  // the one that is met first in front
  bool name_goes_on = false;                       // it is not looked up here
};

std::optional<ExplainedWay> way_of(const policy::Explanation& explanation, const Answers& answers,
                                   const config::Config& config) {
  const policy::Verdict& verdict = explanation.verdict;
  if (verdict.decision != policy::Verdict::Decision::allow || config.policy == nullptr) return std::nullopt;
  const policy::Options& options = config.policy->options(verdict.rule);
  if (options.via.empty()) return std::nullopt;
  ExplainedWay way;
  for (const std::string& name : options.via) {
    way.upstreams.push_back(&*std::ranges::find(config.upstreams, name, &config::Upstream::name));
  }
  way.name_goes_on = answers.by_address.empty() && answers.query.target->host_name() != nullptr;
  return way;
}

std::string_view pick_word(const config::Upstream& upstream) {
  return config::pick_words[static_cast<std::size_t>(upstream.pick)];
}

Json way_json(const ExplainedWay& way) {
  Json hops = Json::array();
  for (const config::Upstream* const upstream : way.upstreams) {
    Json hop = {{"upstream", upstream->name}, {"pick", pick_word(*upstream)}, {"servers", Json::array()}};
    for (const wire::ProxyUrl& url : upstream->servers) hop["servers"].push_back(url.to_string());
    hops.push_back(std::move(hop));
  }
  return hops;
}

std::string way_text(const ExplainedWay& way, const Target& target) {
  std::string text;
  for (const config::Upstream* const upstream : way.upstreams) {
    text += fmt::format("  through {}: ", upstream->name);
    for (std::size_t i = 0; i < upstream->servers.size(); ++i) {
      text += (i == 0 ? "" : ", ") + upstream->servers[i].to_string();
    }
    if (upstream->servers.size() > 1) text += fmt::format(" ({})", pick_word(*upstream));
    text += '\n';
  }
  if (target.host_name() == nullptr) return text;
  return text + fmt::format("  name    {}\n", way.name_goes_on ? "goes on as it is, and is not looked up here"
                                                               : "is looked up here, and its address goes on");
}

std::string as_json(const Answers& answers, const config::Config& config, const std::string& file) {
  Json object = to_json(deciding(answers), file);
  if (const auto way = way_of(deciding(answers), answers, config)) {
    object["via"] = way_json(*way);
    object["name_goes_on"] = way->name_goes_on;
  }
  for (std::size_t i = 0; i < answers.addresses.size(); ++i) {
    Json each = to_json(answers.by_address[i], file);
    each["address"] = answers.addresses[i].to_string();
    object["addresses"].push_back(std::move(each));
  }
  if (!answers.lookup_fault.empty()) object["lookup"] = answers.lookup_fault;
  return object.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string as_text(const Answers& answers, const config::Config& config, const std::string& file) {
  const auto way_text_of = [&](const policy::Explanation& explanation) {
    const auto way = way_of(explanation, answers, config);
    return way ? way_text(*way, *answers.query.target) : std::string();
  };
  if (answers.by_address.empty()) {
    const std::string fault = answers.lookup_fault.empty() ? "" : fmt::format("  lookup  {}\n", answers.lookup_fault);
    return policy::to_text(answers.by_name, answers.query, file, way_text_of(answers.by_name)) + fault;
  }
  std::string text;
  for (std::size_t i = 0; i < answers.addresses.size(); ++i) {
    text += fmt::format("{} is {}: ", to_string(answers.query.target->host), answers.addresses[i].to_string());
    text += policy::to_text(answers.by_address[i], answers.query, file, way_text_of(answers.by_address[i]));
  }
  return text;
}

// Rules count their lines from the start of their text; people look for them in the file.
void place_in_file(policy::RuleInfo& rule, const config::Config& config) {
  if (rule.line != 0 && config.policy != nullptr) rule.line += config.policy_rules_line - 1;
}

policy::Explanation explanation_of(const config::Config& config, const policy::Query& query) {
  const policy::OwnAddresses own = own_addresses_of(config);
  const policy::Policy built_in =
      is_loopback(query.source) ? policy::Policy::loopback_preset() : policy::Policy::deny_all();
  policy::Explanation explanation = policy::explain(config.policy != nullptr ? *config.policy : built_in, query, own);
  if (explanation.rule) place_in_file(*explanation.rule, config);
  for (policy::NearMiss& miss : explanation.near_misses) place_in_file(miss.rule, config);
  return explanation;
}

Answers answers_to(const Request& request, const Identity& who, const config::Config& config) {
  Answers answers;
  answers.query = {.who = &who,
                   .source = request.source,
                   .command = request.command,
                   .target = &request.target,
                   .candidate = std::nullopt,
                   .at = request.at};
  if (const Address* address = request.target.address()) answers.query.candidate = *address;
  answers.by_name = explanation_of(config, answers.query);
  if (answers.by_name.verdict.decision != policy::Verdict::Decision::undecided) return answers;
  if (request.resolving) {
    answers.addresses = {*request.resolving};
  } else if (request.may_ask_dns) {
    auto found = look_up(*request.target.host_name(), server::name_settings(config));
    if (found) {
      answers.addresses = std::move(*found);
    } else {
      answers.lookup_fault = std::move(found.error());
    }
  }
  for (const Address& address : answers.addresses) {
    policy::Query query = answers.query;
    query.candidate = address;
    answers.by_address.push_back(explanation_of(config, query));
  }
  return answers;
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
  const Identity client = client_of(*request, *settings);
  const Answers answers = answers_to(*request, client, settings->config);
  const std::string& file = settings->file;
  return print(Answer{arguments.has("--json") ? as_json(answers, settings->config, file)
                                              : as_text(answers, settings->config, file)});
}

}  // namespace stile::cli
