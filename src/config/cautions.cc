// What `stile check` warns of (security reference, 1.1 and 3.1).
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "config/config.h"
#include "base/loopback.h"
#include "policy/futile.h"
#include "policy/rules.h"

namespace stile::config {
namespace {

// News and Windows file sharing: what open proxies are misused for, next to mail (port 25, which an allow without ports
// leaves out).
constexpr std::array<PortRange, 3> abused{{{119, 119}, {135, 139}, {445, 445}}};

bool reaches_abused_port(const policy::Rule& rule) {
  return std::ranges::any_of(rule.targets, [](const policy::TargetPattern& target) {
    return target.ports.empty() || std::ranges::any_of(target.ports, [](const PortRange& ports) {
             return std::ranges::any_of(abused, [&](const PortRange& range) {
               return ports.first <= range.last && range.first <= ports.last;
             });
           });
  });
}

bool admits_anonymous(const policy::Rule& rule) {
  return std::ranges::any_of(rule.who, [](const policy::Who& who) {
    return std::holds_alternative<policy::Anyone>(who) || std::holds_alternative<policy::Anonymous>(who);
  });
}

void add_quota_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  if (!config.accounting.file.empty()) return;
  const policy::RuleSet& set = config.policy->rule_set();
  for (std::size_t i = 0; i < set.rules.size(); ++i) {
    if (config.policy->options(static_cast<int>(i)).quotas.empty()) continue;
    cautions.push_back({config.policy_rules_line + set.infos[i].line - 1, 1,
                        fmt::format("'{}': its quota begins anew whenever the server starts (name a [accounting] file, "
                                    "from which the server knows what was used)",
                                    set.infos[i].name)});
  }
}

/// SOCKS5 alone knows datagrams.
bool carries_datagrams(const Config& config, std::string_view upstream) {
  const auto found = std::ranges::find(config.upstreams, upstream, &Upstream::name);
  return found != config.upstreams.end() && std::ranges::any_of(found->servers, [](const wire::ProxyUrl& server) {
           return server.protocol == wire::ProxyProtocol::socks5;
         });
}

void add_datagram_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  const policy::RuleSet& set = config.policy->rule_set();
  for (std::size_t i = 0; i < set.rules.size(); ++i) {
    if (!set.rules[i].allow || !set.rules[i].commands.contains(policy::Command::udp)) continue;
    for (const std::string& upstream : config.policy->options(static_cast<int>(i)).via) {
      if (carries_datagrams(config, upstream)) continue;
      cautions.push_back(
          {config.policy_rules_line + set.infos[i].line - 1, 1,
           fmt::format("'{}': datagrams do not get through '{}', none of whose servers is SOCKS5, and are "
                       "dropped (give udp a rule with another 'via')",
                       set.infos[i].name, upstream)});
    }
  }
}

void add_rule_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  const auto file_line = [&](int rules_line) { return config.policy_rules_line + rules_line - 1; };
  for (const policy::RuleError& warning : config.policy->warnings()) {
    cautions.push_back({file_line(warning.line), warning.column, warning.message});
  }
  for (const policy::RuleError& futile : policy::futile_rules(config.policy->rule_set())) {
    cautions.push_back({file_line(futile.line), futile.column, futile.message});
  }
  const bool anonymous = std::ranges::any_of(
      config.listeners, [&](const Listener& listener) { return auth_of(config, listener).admits(AuthMethod::none); });
  if (!anonymous) return;
  const policy::RuleSet& set = config.policy->rule_set();
  for (std::size_t i = 0; i < set.rules.size(); ++i) {
    const policy::Rule& rule = set.rules[i];
    const bool tcp = rule.commands.empty() || rule.commands.contains(policy::Command::tcp);
    if (!rule.allow || !tcp || !admits_anonymous(rule) || !reaches_abused_port(rule)) continue;
    cautions.push_back(
        {file_line(set.infos[i].line), 1,
         fmt::format("'{}' lets clients without authentication reach port 119, 135-139 or 445, which open "
                     "proxies are misused for (name the ports that they need)",
                     set.infos[i].name)});
  }
}

void add_loopback_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  for (const Listener& listener : config.listeners) {
    if (listener.is_unix() || !is_loopback(listener.address.address)) continue;
    if (!auth_of(config, listener).admits(AuthMethod::none)) continue;
    cautions.push_back(
        {0, 0,
         fmt::format(
             "listener {}: whatever forwards connections to it (ssh -R, a container's port map, a reverse proxy) "
             "hands a local user's reach to those it serves, ports 119, 135-139 and 445 included (add a [policy] "
             "to narrow it)",
             listener.address.to_string())});
  }
}

// A socket file that every local user may open gives each of them what is meant for some.
void add_socket_file_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const Listener& listener = config.listeners[i];
    if (!listener.is_unix() || (listener.file.mode & 0002) == 0) continue;
    const auto origin = config.origins.find(fmt::format("listen[{}].mode", i));
    cautions.push_back({origin == config.origins.end() ? 0 : origin->second.line, 1,
                        fmt::format("listener {}: every user of this host may connect (take away the last digit of "
                                    "mode {:04o} to say who may)",
                                    listener.where(), listener.file.mode)});
  }
}

// Who may send a PROXY header may be whomever it likes.
void add_balancer_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const Listener& listener = config.listeners[i];
    const bool everybody =
        std::ranges::any_of(listener.proxy_protocol_from, [](const Cidr& network) { return network.length == 0; });
    if (!everybody) continue;
    const auto origin = config.origins.find(fmt::format("listen[{}].proxy_protocol_from", i));
    cautions.push_back({origin == config.origins.end() ? 0 : origin->second.line, 1,
                        fmt::format("listener {}: whoever connects may name any client in its PROXY header (list the "
                                    "load balancers alone)",
                                    listener.where())});
  }
}

// RFC 1929 and the Basic scheme send the password as it is (threat TA8).
void add_password_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  for (const Listener& listener : config.listeners) {
    if (!sends_passwords_in_clear(config, listener)) continue;
    cautions.push_back({0, 0,
                        fmt::format("listener {}: passwords cross the network in clear (let clients reach it through "
                                    "a tunnel or a network of your own)",
                                    listener.where())});
  }
}

// Where no rule says who may go where, only local clients may go anywhere.
void add_useless_login_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  for (const Listener& listener : config.listeners) {
    const bool local = listener.is_unix() || is_loopback(listener.address.address);
    if (local || auth_of(config, listener).admits(AuthMethod::none)) continue;
    cautions.push_back({0, 0,
                        fmt::format("listener {}: whoever logs in may go nowhere (add a [policy], such as 'allow "
                                    "authenticated to public')",
                                    listener.where())});
  }
}

// The order is the listener's preference: most clients with a password offer to come without it as well.
void add_order_cautions(const Config& config, std::vector<ConfigError>& cautions) {
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const Listener& listener = config.listeners[i];
    const auto order = listener.auth.in_order();
    const auto none = std::ranges::find(order, AuthMethod::none);
    const auto judge = std::find_if(none, order.end(), judges_passwords);
    if (judge == order.end()) continue;
    const auto origin = config.origins.find(fmt::format("listen[{}].auth", i));
    cautions.push_back({origin == config.origins.end() ? 0 : origin->second.line, 1,
                        fmt::format("listener {}: none stands before {}, so that SOCKS5 clients which offer both come "
                                    "in as nobody in particular (name none last)",
                                    listener.where(), name(*judge))});
  }
}

}  // namespace

bool sends_passwords_in_clear(const Config& config, const Listener& listener) noexcept {
  const bool local =
      listener.is_unix() || (is_loopback(listener.address.address) && listener.proxy_protocol_from.empty());
  const bool plain = !listener.tls.is_on() || listener.tls.optional;
  return plain && !local && auth_of(config, listener).password_judge().has_value();
}

std::vector<ConfigError> cautions(const Config& config) {
  std::vector<ConfigError> cautions;
  if (config.policy != nullptr) {
    add_rule_cautions(config, cautions);
    add_quota_cautions(config, cautions);
    add_datagram_cautions(config, cautions);
  } else {
    add_loopback_cautions(config, cautions);
    add_useless_login_cautions(config, cautions);
  }
  add_password_cautions(config, cautions);
  add_socket_file_cautions(config, cautions);
  add_balancer_cautions(config, cautions);
  add_order_cautions(config, cautions);
  std::ranges::sort(cautions, {}, [](const ConfigError& e) { return std::tie(e.line, e.column, e.message); });
  return cautions;
}

}  // namespace stile::config
