#include "config/config.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "base/duration.h"
#include "base/loopback.h"
#include "config/keys.h"
#include "policy/unopened.h"

namespace stile::config {
namespace {

std::expected<void, std::string> set_listeners(Config& config, const std::vector<std::string>& values) {
  std::vector<Listener> listeners;
  for (const std::string& value : values) {
    auto place = parse_listen_place(value);
    if (!place) return std::unexpected(fmt::format("'{}': {}", value, place.error()));
    Listener& listener = listeners.emplace_back();
    listener.address = place->address;
    listener.file.path = std::move(place->path);
  }
  config.listeners = std::move(listeners);
  std::erase_if(config.origins, [](const auto& entry) { return entry.first.starts_with("listen["); });
  return {};
}

std::string describe(const Config& config, std::string_view key) {
  const auto found = config.origins.find(key);
  if (found == config.origins.end()) return "default";
  const Origin& origin = found->second;
  switch (origin.source) {
    case Origin::Source::built_in:
      break;
    case Origin::Source::file:
      return fmt::format("{}:{}", origin.name, origin.line);
    case Origin::Source::environment:
      return fmt::format("environment {}", origin.name);
    case Origin::Source::flag:
      return fmt::format("flag {}", origin.name);
  }
  return "default";
}

// The line of the later of two keys: the one that a reader would correct.
int line_of(const Config& config, std::string_view key) {
  const auto found = config.origins.find(key);
  return found == config.origins.end() ? 0 : found->second.line;
}

std::vector<std::string_view> judges_of(const Listener& listener) {
  std::vector<std::string_view> judges;
  for (const AuthMethod method : listener.auth.in_order()) {
    if (judges_passwords(method)) judges.push_back(name(method));
  }
  return judges;
}

// What nobody could log in by, and what a client could not tell apart (threat TA2).
void add_contradictions_of_auth(const Config& config, std::size_t index, std::vector<ConfigError>& errors) {
  const Listener& listener = config.listeners[index];
  const AuthMethods& auth = listener.auth;
  const auto add = [&](std::string_view key, std::string message) {
    const int line = line_of(config, fmt::format("listen[{}].{}", index, key));
    errors.push_back({line, 1, fmt::format("listen.{}: {}", key, message)});
  };
  if (auth.admits(AuthMethod::password) && config.users.file.empty()) {
    add("auth", "nobody has a password (add [users] with a file, which 'stile user add' makes)");
  }
  if (auth.admits(AuthMethod::certificate) && listener.tls.client_ca.empty()) {
    add("auth", "nobody is asked for a certificate (add client_ca to the listener's `tls`)");
  }
  if (auth.admits(AuthMethod::command) && config.command.program.empty() && config.helper.socket.empty()) {
    add("auth", "no program judges passwords (add [command] with `program`)");
  }
  if (auth.admits(AuthMethod::gssapi) && listener.tls.is_on()) {
    add("auth", "gssapi protects the stream itself, not inside TLS (give it a listener without `tls`)");
  }
  if (auth.admits(AuthMethod::gssapi) && !listener.protocols.socks5) {
    add("auth", "gssapi is a method of SOCKS5 (add \"socks5\" to `protocols`)");
  }
  if (const auto judges = judges_of(listener); judges.size() > 1) {
    add("auth", fmt::format("{0} and {1} both judge a name and a password, which is one method to a client (name one "
                            "of them, or give {1} a listener of its own)",
                            judges[0], judges[1]));
  }
  if (auth.admits(AuthMethod::none) && auth.admits(AuthMethod::certificate)) {
    add("auth",
        "none and certificate are one method to a client, and every client has shown a certificate there (take "
        "none out, or certificate, which leaves all of them anonymous)");
  }
  const Protocols& protocols = listener.protocols;
  if (!protocols.socks5 && !protocols.http && !auth_of(config, listener).admits_without_password()) {
    add("protocols",
        "a user id of SOCKS4 proves nothing, so that nobody could log in (add \"socks5\" or \"http\", or "
        "name \"none\" in `auth`)");
  }
}

// What no browser could do with the file.
void add_contradictions_of_pac(const Config& config, std::size_t index, std::vector<ConfigError>& errors) {
  const Listener& listener = config.listeners[index];
  if (listener.pac.empty()) return;
  const auto add = [&](std::string_view message) {
    const int line = line_of(config, fmt::format("listen[{}].pac", index));
    errors.push_back({line, 1, fmt::format("listen.pac: {}", message)});
  };
  if (listener.is_unix()) add("no browser reaches a Unix-domain socket (give it a listener with an IP address)");
  if (!listener.protocols.http) add("browsers fetch the file over HTTP (add \"http\" to `protocols`)");
  if (std::ranges::find(listener.pac, wire::PacWay::socks5) == listener.pac.end()) return;
  if (!listener.protocols.socks5) add("there is no socks5 here (add \"socks5\" to `protocols`)");
  if (listener.tls.is_on()) add("no browser speaks SOCKS inside TLS (take \"socks5\" out)");
  if (!auth_of(config, listener).admits_without_password()) {
    add("no browser logs in over SOCKS (take \"socks5\" out, or add \"none\" to `auth`)");
  }
}

void add_contradictions_of_listener(const Config& config, std::size_t index, std::vector<ConfigError>& errors) {
  const Listener& listener = config.listeners[index];
  const auto earlier = config.listeners.begin() + static_cast<std::ptrdiff_t>(index);
  const auto same = [&](const Listener& other) { return other.where() == listener.where(); };
  const bool fixed = listener.is_unix() || listener.address.port != 0;
  if (fixed && std::any_of(config.listeners.begin(), earlier, same)) {
    errors.push_back({line_of(config, fmt::format("listen[{}].address", index)), 1,
                      fmt::format("listen.address: {} is named twice", listener.where())});
  }
  add_contradictions_of_auth(config, index, errors);
  add_contradictions_of_pac(config, index, errors);
  if (listener.is_unix() && listener.fast_open) {
    errors.push_back({line_of(config, fmt::format("listen[{}].fast_open", index)), 1,
                      "listen.fast_open: a Unix-domain socket has no SYN"});
  }
  if (listener.is_unix()) return;
  for (const std::string_view key : {"mode", "owner", "group"}) {
    const int line = line_of(config, fmt::format("listen[{}].{}", index, key));
    if (line != 0) errors.push_back({line, 1, fmt::format("listen.{}: only a \"unix:\" address has one", key)});
  }
}

// Two tables for one name, of which either might be meant.
void add_contradictions_of_resolvers(const Config& config, std::vector<ConfigError>& errors) {
  std::map<std::string_view, std::size_t> tables;  // by suffix; "" for all others
  const auto place = [&](std::size_t index, std::string_view key) {
    return line_of(config, fmt::format("resolver[{}].{}", index, key));
  };
  for (std::size_t i = 0; i < config.resolvers.size(); ++i) {
    const Resolver& resolver = config.resolvers[i];
    if (resolver.suffixes.empty() && !tables.emplace("", i).second) {
      errors.push_back({place(i, "servers"), 1, "resolver: another table without `suffixes` is for all names already"});
    }
    for (const HostName& suffix : resolver.suffixes) {
      if (tables.emplace(suffix.text(), i).second) continue;
      errors.push_back(
          {place(i, "suffixes"), 1, fmt::format("resolver.suffixes: another table has {} already", suffix.text())});
    }
  }
  if (config.resolvers.size() > limits::resolvers_max) {
    errors.push_back({place(limits::resolvers_max, "servers"), 1,
                      fmt::format("resolver: {} tables are enough", limits::resolvers_max)});
  }
}

void add_contradictions_of_dns(const Config& config, std::vector<ConfigError>& errors) {
  for (std::size_t i = 0; i < config.dns.size(); ++i) {
    if (std::count(config.dns.begin(), config.dns.begin() + static_cast<std::ptrdiff_t>(i), config.dns[i]) == 0)
      continue;
    errors.push_back({line_of(config, fmt::format("dns[{}].address", i)), 1,
                      fmt::format("dns.address: {} is named twice", config.dns[i].address.to_string())});
  }
}

void add_contradictions_of_gateway(const Config& config, std::vector<ConfigError>& errors) {
  const Gateway& gateway = config.gateway;
  int line = 0;  // of the first key that stands there
  for (const std::string_view key : {"rules", "divert", "users", "except", "from", "lan"}) {
    if (const int there = line_of(config, fmt::format("gateway.{}", key)); there != 0) line = there;
  }
  if (line != 0 && !gateway.is_on()) {
    errors.push_back({line, 1, "gateway: it says of no machine that its packets are taken (add `lan` or `from`)"});
  }
  if (gateway.is_on() && config.policy == nullptr) {
    errors.push_back({line, 1, "gateway: no [policy] says where its machines may go (add one with `rules`)"});
  }
}

void add_contradictions_of_upstream(const Config& config, std::size_t index, std::vector<ConfigError>& errors) {
  const Upstream& upstream = config.upstreams[index];
  const auto add = [&](std::string_view key, std::string message) {
    const int line = line_of(config, fmt::format("upstream[{}].{}", index, key));
    errors.push_back({line, 1, fmt::format("upstream.{}: {}", key, message)});
  };
  using wire::ProxyProtocol;
  const auto logs_in = [](const wire::ProxyUrl& url) { return url.user && url.protocol != ProxyProtocol::socks4; };
  const auto has_tls = [](const wire::ProxyUrl& url) { return url.protection == wire::ProxyProtection::tls; };
  const bool password = !upstream.password_file.empty();
  const bool by_ticket = std::ranges::any_of(
      upstream.servers, [](const wire::ProxyUrl& url) { return url.protection == wire::ProxyProtection::gssapi; });
  if (upstream.servers.empty()) return add("name", "it has no 'servers': nobody could be asked");
  if (!password && std::ranges::any_of(upstream.servers, logs_in)) {
    add("servers", "a user stands there without a password (add `password_file`)");
  }
  if (password && std::ranges::none_of(upstream.servers, logs_in)) {
    add("password_file", "nobody logs in with it (write the user before the @ in `servers`)");
  }
  if (!by_ticket && !(upstream.keytab.empty() && upstream.principal.empty())) {
    add(upstream.keytab.empty() ? "principal" : "keytab",
        "no server takes a Kerberos ticket (write +gssapi behind the scheme)");
  }
  if (upstream.certificate.empty() != upstream.key.empty()) {
    add(upstream.key.empty() ? "certificate" : "key", "a certificate and its key belong together");
  }
  const bool tls_files = !upstream.ca.empty() || !upstream.certificate.empty();
  if (tls_files && std::ranges::none_of(upstream.servers, has_tls)) {
    add(upstream.ca.empty() ? "certificate" : "ca", "no server has TLS (write +tls behind the scheme, or https)");
  }
}

// The value of a list as the file writes it.
std::string list_text(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) text += fmt::format("{}\"{}\"", text.size() == 1 ? "" : ", ", item);
  return text + "]";
}

EffectiveValue effective_value(const Config& config, const Key& key, std::string name, std::size_t index) {
  using Form = EffectiveValue::Form;
  EffectiveValue value{.key = std::move(name), .value = value_text(key, config, index), .origin = {}};
  if (key.type == KeyType::number) value.form = Form::number;
  if (is_list(key.type)) value = {value.key, list_text(value_list(key, config, index)), Form::list, {}};
  value.origin = describe(config, value.key);
  return value;
}

// One value each: "policy.lists.blocked".
void add_lists(const Config& config, const Key& key, std::vector<EffectiveValue>& values) {
  for (const auto& [name, file] : config.policy_lists) {
    values.push_back(
        {.key = fmt::format("{}.{}", path(key), name), .value = file, .origin = describe(config, path(key))});
  }
}

// Likewise: "names.hosts.intra.corp.example".
void add_hosts(const Config& config, const Key& key, std::vector<EffectiveValue>& values) {
  for (const auto& [name, addresses] : config.names.hosts) {
    std::vector<std::string> texts;
    for (const Address& address : addresses) texts.push_back(address.to_string());
    values.push_back({.key = fmt::format("{}.{}", path(key), name.text()),
                      .value = list_text(texts),
                      .form = EffectiveValue::Form::list,
                      .origin = describe(config, path(key))});
  }
}

// Likewise: "listen[0].tls.key".
void add_tls(const Config& config, std::size_t index, std::vector<EffectiveValue>& values) {
  const Tls& tls = config.listeners[index].tls;
  const std::string key = fmt::format("listen[{}].tls", index);
  for (const auto& [name, file] : {std::pair<std::string_view, std::string>{"certificate", tls.certificate},
                                   {"key", tls.key},
                                   {"client_ca", tls.client_ca},
                                   {"crl", tls.crl}}) {
    if (file.empty()) continue;
    values.push_back({.key = fmt::format("{}.{}", key, name), .value = file, .origin = describe(config, key)});
  }
  if (!tls.is_on()) return;
  values.push_back({.key = key + ".optional",
                    .value = tls.optional ? "true" : "false",
                    .form = EffectiveValue::Form::number,
                    .origin = describe(config, key)});
}

}  // namespace

Config zero_configuration() {
  Config config;
  config.listeners.resize(2);
  config.listeners[0].address = Endpoint::parse("127.0.0.1:1080").value();
  config.listeners[1].address = Endpoint::parse("[::1]:1080").value();
  config.listeners[1].optional = true;
  return config;
}

std::expected<void, std::string> set(Config& config, std::string_view key, const std::vector<std::string>& values,
                                     Origin origin) {
  if (key == "listen") {
    if (auto stored = set_listeners(config, values); !stored) return stored;
  } else {
    for (const Key& known : keys()) {
      if (path(known) != key) continue;
      if (is_list(known.type)) {
        if (auto stored = store_list(known, values, config); !stored) {
          return std::unexpected(fmt::format("'{}': {}", values[stored.error().item], stored.error().message));
        }
      } else if (auto stored = store_text(known, values.back(), config); !stored) {
        return std::unexpected(fmt::format("'{}': {}", values.back(), stored.error()));
      }
    }
  }
  config.origins.insert_or_assign(std::string(key), std::move(origin));
  return {};
}

AuthMethods auth_of(const Config& config, const Listener& listener) noexcept {
  if (!listener.auth.empty()) return listener.auth;
  if (!listener.tls.client_ca.empty()) return {AuthMethod::certificate};
  return {config.users.file.empty() ? AuthMethod::none : AuthMethod::password};
}

policy::Upstreams upstreams_of(const Config& config) {
  policy::Upstreams upstreams;
  for (const Upstream& upstream : config.upstreams) {
    upstreams[upstream.name] = {.takes_names = upstream.takes_names(), .hops = 1};
  }
  return upstreams;
}

bool needs_helper(const Config& config) noexcept {
  return std::ranges::any_of(config.listeners, [&](const Listener& listener) {
    const AuthMethods auth = auth_of(config, listener);
    return auth.admits(AuthMethod::pam) || auth.admits(AuthMethod::command) || auth.admits(AuthMethod::gssapi);
  });
}

std::shared_ptr<const wire::PacFile> pac_of(const Config& config, const Listener& listener) {
  if (listener.pac.empty()) return nullptr;
  wire::PacPlan plan{.ways = listener.pac, .host = {}, .names = {}, .networks = {}};
  if (const auto host = canonical_host(config.pac.host)) plan.host = *host;
  plan.names.push_back(std::get<HostName>(canonical_host("localhost").value()));
  for (const std::string_view own : {"127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10"}) {
    plan.networks.push_back(Cidr::parse(own).value());
  }
  if (config.policy != nullptr) {
    for (const Cidr& network : policy::unopened_networks(config.policy->rule_set())) plan.networks.push_back(network);
  }
  for (const auto& place : config.pac.direct) {
    if (const auto* const name = std::get_if<HostName>(&place)) {
      plan.names.push_back(*name);
    } else {
      plan.networks.push_back(std::get<Cidr>(place));
    }
  }
  return std::make_shared<const wire::PacFile>(plan);
}

std::vector<ConfigError> contradictions(const Config& config) {
  std::vector<ConfigError> errors;
  add_contradictions_of_gateway(config, errors);
  add_contradictions_of_dns(config, errors);
  add_contradictions_of_resolvers(config, errors);
  for (std::size_t i = 0; i < config.listeners.size(); ++i) add_contradictions_of_listener(config, i, errors);
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) add_contradictions_of_upstream(config, i, errors);
  if (config.limits.connect_per_address > config.limits.connect_total) {
    errors.push_back({std::max(line_of(config, "limits.connect"), line_of(config, "limits.connect_total")), 1,
                      fmt::format("limits.connect ({}) is longer than limits.connect_total ({})",
                                  to_text(config.limits.connect_per_address), to_text(config.limits.connect_total))});
  }
  return errors;
}

std::vector<std::string> exposures(const Config& config) {
  std::vector<std::string> messages;
  const bool sources_named = config.policy != nullptr && config.policy->every_anonymous_allow_names_its_sources();
  for (const DnsListener& listener : config.dns) {
    if (sources_named || is_loopback(listener.address.address)) continue;
    messages.push_back(
        fmt::format("cannot answer DNS at {}: no [policy] says who may ask, or one of its rules lets anybody (add "
                    "`from` to every allow "
                    "rule for clients without authentication, or answer at 127.0.0.1 only)",
                    listener.address.to_string()));
  }
  for (const Listener& listener : config.listeners) {
    if (!auth_of(config, listener).admits(AuthMethod::none)) continue;
    // Behind a load balancer the clients come from anywhere, however near it stands.
    const bool local = listener.is_unix() || is_loopback(listener.address.address);
    if (sources_named || (local && listener.proxy_protocol_from.empty())) continue;
    const std::string_view why = config.policy == nullptr
                                     ? "no [policy] says who may use it, and it asks for no password"
                                     : "a rule of [policy] allows clients from anywhere, and it asks for no password";
    const std::string_view cure = config.policy == nullptr
                                      ? "add a [policy] with a rule that names its clients, such as 'allow anyone from "
                                        "192.168.1.0/24 to public'"
                                      : "add `from` to every such allow rule of [policy]";
    const std::string_view login = config.users.file.empty() ? "or [users] with a file that 'stile user add' makes"
                                                             : "or take \"none\" out of its `auth`";
    const std::string other =
        local ? "serve without proxy_protocol_from" : fmt::format("listen on 127.0.0.1:{} only", listener.address.port);
    messages.push_back(
        fmt::format("cannot listen on {}: {} ({}, {}, or {})", listener.where(), why, cure, login, other));
  }
  return messages;
}

std::vector<ConfigError> failed_expectations(const Config& config, const policy::GroupsOf& groups_of) {
  if (config.policy == nullptr) return {};
  policy::OwnAddresses own;
  for (const Listener& listener : config.listeners) {
    if (!listener.is_unix()) own.sockets.push_back(listener.address);
  }
  for (const Outside* const outside : {&config.udp.outside, &config.bind.outside}) {
    for (const Address& address : outside->advertise) own.local_routes.push_back(Cidr::host(address));
  }
  std::vector<ConfigError> errors;
  for (policy::RuleError& failure :
       policy::failures(*config.policy, config.expectations, own, groups_of, config.policy_rules_line)) {
    errors.push_back({config.policy_expect_line + failure.line - 1, failure.column, std::move(failure.message)});
  }
  return errors;
}

std::vector<EffectiveValue> effective(const Config& config) {
  std::vector<EffectiveValue> values;
  for (const Table& table : tables()) {
    const std::size_t count = table_count(config, table);
    for (std::size_t i = 0; i < count; ++i) {
      const bool is_unix = table.name == "listen" && config.listeners[i].is_unix();
      for (const Key& key : keys()) {
        if (key.table != table.name) continue;
        if (key.table == "policy" && config.policy == nullptr) continue;
        if (key.table == "gateway" && !config.gateway.is_on()) continue;
        const bool of_files = key.type == KeyType::mode || key.type == KeyType::account;
        if (of_files && !is_unix) continue;
        const bool may_be_absent = key.type == KeyType::socket || key.type == KeyType::file ||
                                   key.type == KeyType::expect || key.type == KeyType::program ||
                                   key.type == KeyType::service || key.type == KeyType::host ||
                                   key.type == KeyType::principal || key.type == KeyType::egress;
        if (may_be_absent && value_text(key, config, i).empty()) continue;
        if (key.type == KeyType::lists) {
          add_lists(config, key, values);
          continue;
        }
        if (key.type == KeyType::hosts) {
          add_hosts(config, key, values);
          continue;
        }
        if (key.type == KeyType::tls) {
          add_tls(config, i, values);
          continue;
        }
        const std::string name = table.repeats ? fmt::format("{}[{}].{}", table.name, i, key.name) : path(key);
        values.push_back(effective_value(config, key, name, i));
        if (key.type == KeyType::address && !config.origins.contains(name)) {
          values.back().origin = describe(config, "listen");
        }
      }
    }
  }
  return values;
}

}  // namespace stile::config
