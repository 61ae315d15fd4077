// Values of configuration keys, to and from text, by their type. Tested in values_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ranges>

#include "base/assert.h"
#include "base/duration.h"
#include "base/loopback.h"
#include "config/keys.h"
#include "policy/option_values.h"
#include "policy/patterns.h"
#include "wire/helper_record.h"

namespace stile::config {
namespace {

using Stored = std::expected<void, std::string>;

// Which part of the configuration has a member.
template <class Value>
Limits& part(Config& config, Value Limits::*) {
  return config.limits;
}
template <class Value>
Udp& part(Config& config, Value Udp::*) {
  return config.udp;
}
template <class Value>
Bind& part(Config& config, Value Bind::*) {
  return config.bind;
}
template <class Value>
Admin& part(Config& config, Value Admin::*) {
  return config.admin;
}
template <class Value>
Config& part(Config& config, Value Config::*) {
  return config;
}
template <class Value>
Users& part(Config& config, Value Users::*) {
  return config.users;
}
template <class Value>
Pam& part(Config& config, Value Pam::*) {
  return config.pam;
}
template <class Value>
Command& part(Config& config, Value Command::*) {
  return config.command;
}
template <class Value>
Gssapi& part(Config& config, Value Gssapi::*) {
  return config.gssapi;
}
template <class Value>
Pac& part(Config& config, Value Pac::*) {
  return config.pac;
}
template <class Value>
Helper& part(Config& config, Value Helper::*) {
  return config.helper;
}
template <class Value>
Engine& part(Config& config, Value Engine::*) {
  return config.engine;
}
template <class Value>
Resolver& part(Config& config, Value Resolver::*) {
  return config.resolvers.back();
}
template <class Value>
Listener& part(Config& config, Value Listener::*) {
  return config.listeners.back();
}
template <class Value>
Gateway& part(Config& config, Value Gateway::*) {
  return config.gateway;
}
template <class Value>
Accounting& part(Config& config, Value Accounting::*) {
  return config.accounting;
}
template <class Value>
Upstream& part(Config& config, Value Upstream::*) {
  return config.upstreams.back();
}

// Where a key with one of these fields has its value.
template <class Value, class Field>
Value& value_of(const Field& field, Config& config) {
  const auto place = [&]<class Member>(Member member) -> Value* {
    if constexpr (std::is_same_v<Member, std::nullptr_t>) {
      return nullptr;
    } else {
      return &(part(config, member).*member);
    }
  };
  Value* const value = std::visit(place, field);
  STILE_ASSERT(value != nullptr);
  return *value;
}
template <class Value, class Field>
Value value_of(const Field& field, const Config& config) {
  return value_of<Value>(field, const_cast<Config&>(config));  // read only
}

Outside& outside_of(const Key& key, Config& config) {
  return key.table == "udp" ? config.udp.outside : config.bind.outside;
}
const Outside& outside_of(const Key& key, const Config& config) {
  return key.table == "udp" ? config.udp.outside : config.bind.outside;
}

// ── single values ───────────────────────────────────────────────────────────────────────────────────────────────────

Stored store_duration(const Key& key, std::string_view text, Config& config) {
  Duration& stored = value_of<Duration>(key.duration, config);
  if (key.type == KeyType::optional_duration && text == "off") {
    stored = Duration::zero();
    return {};
  }
  const std::optional<Duration> duration = parse_duration(text);
  if (!duration || *duration < key.shortest || *duration > key.longest) {
    const std::string_view off = key.type == KeyType::optional_duration ? " or \"off\"" : "";
    return std::unexpected(
        fmt::format("expected a duration such as \"250ms\", \"10s\", \"5m\" or \"1h\"{}, from {} to {}", off,
                    to_text(key.shortest), to_text(key.longest)));
  }
  stored = *duration;
  return {};
}

Stored store_log_format(std::string_view text, Config& config) {
  const auto words = log_format_words();
  const auto found = std::ranges::find(words, text);
  if (found == words.end()) return std::unexpected("expected one of json, text, none, auto");
  config.log = static_cast<LogFormat>(found - words.begin());
  return {};
}

Stored store_sandbox(std::string_view text, Config& config) {
  const auto words = sandbox_words();
  const auto found = std::ranges::find(words, text);
  if (found == words.end()) return std::unexpected("expected one of best-effort, required, off");
  config.sandbox = static_cast<Sandbox>(found - words.begin());
  return {};
}

Stored store_socket(const Key& key, std::string_view text, Config& config) {
  const auto place = parse_listen_place(text);
  if (!place || place->path.empty()) {
    return std::unexpected(
        fmt::format("expected \"unix:\" and the absolute path of a socket, such as {}", key.example));
  }
  value_of<std::string>(key.text, config) = std::string(text);
  return {};
}

Stored store_file(const Key& key, std::string_view text, Config& config) {
  const bool has_control = std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; });
  if (text.empty() || has_control) return std::unexpected(fmt::format("expected a path, such as {}", key.example));
  value_of<std::string>(key.text, config) = std::string(text);
  return {};
}

Stored store_host(const Key& key, std::string_view text, Config& config) {
  const auto host = canonical_host(text);
  if (!host) return std::unexpected("expected a host's name or address, without a port");
  value_of<std::string>(key.text, config) = to_string(*host);
  return {};
}

Stored store_service(const Key& key, std::string_view text, Config& config) {
  if (!wire::is_service_name(text)) {
    return std::unexpected(key.table == "pam"
                               ? "expected the name of a file in /etc/pam.d: letters, digits, '-', '_' and '.'"
                               : "expected the first part of a principal, such as \"rcmd\", without a host");
  }
  value_of<std::string>(key.text, config) = std::string(text);
  return {};
}

// What stands in it is Kerberos' business, which may escape anything; control octets and blanks it never needs.
Stored store_principal(const Key& key, std::string_view text, Config& config) {
  const auto is_printed = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7F'; };
  if (text.empty() || text.front() == '@' || text.front() == '/' || text.size() > limits::credential_octets_max ||
      !std::ranges::all_of(text, is_printed)) {
    return std::unexpected(fmt::format("expected a principal, such as {}", key.example));
  }
  value_of<std::string>(key.text, config) = std::string(text);
  return {};
}

Stored store_choice(const Key& key, std::string_view text, Config& config) {
  const auto found = std::ranges::find(key.words, text);
  if (found == key.words.end()) {
    return std::unexpected(fmt::format("expected \"{}\" or \"{}\"", key.words[0], key.words[1]));
  }
  value_of<bool>(key.choice, config) = found != key.words.begin();
  return {};
}

Stored store_name(std::string_view text, Config& config) {
  if (!policy::is_plain_name(text)) return std::unexpected("expected letters, digits, '-', '_' and '.'");
  if (text == "direct") return std::unexpected("'direct' means no upstream at all");
  const auto same = std::ranges::find(config.upstreams, text, &Upstream::name);
  if (same != config.upstreams.end()) return std::unexpected(fmt::format("another upstream is named '{}'", text));
  config.upstreams.back().name = text;
  return {};
}

Stored store_pick(std::string_view text, Config& config) {
  const auto found = std::ranges::find(pick_words, text);
  if (found == pick_words.end()) {
    return std::unexpected(fmt::format("expected one of {}", fmt::join(pick_words, ", ")));
  }
  config.upstreams.back().pick = static_cast<Pick>(found - pick_words.begin());
  return {};
}

Stored store_egress(std::string_view text, Config& config) {
  const auto egress = policy::parse_egress(text);
  if (!egress) return std::unexpected(egress.error().message);
  config.upstreams.back().egress = *egress;
  return {};
}

template <class Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || error != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
  return number;
}

// "80" or "8000-8099".
std::optional<PortRange> parse_ports(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_number<std::uint16_t>(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_number<std::uint16_t>(text.substr(dash + 1));
  if (!first || !last || *first == 0 || *first > *last) return std::nullopt;
  return PortRange{*first, *last};
}

std::string ports_text(const PortRange& ports) {
  return ports.first == ports.last ? std::to_string(ports.first) : fmt::format("{}-{}", ports.first, ports.last);
}

Stored store_ports(const Key& key, std::string_view text, Config& config) {
  const auto ports = text == "any" ? PortRange{} : parse_ports(text);
  if (!ports) return std::unexpected("expected ports such as \"40000-40999\" or \"40000\", or \"any\"");
  outside_of(key, config).ports = *ports;
  return {};
}

Stored store_mode(std::string_view text, Config& config) {
  const auto mode = parse_number<std::uint32_t>(text, 8);
  if (!mode || text.size() < 3 || text.size() > 4 || *mode > 0777) {
    return std::unexpected("expected permissions in octal, such as \"0660\"");
  }
  config.listeners.back().file.mode = *mode;
  return {};
}

bool is_account(std::string_view text) {
  const auto plain = [](char c) { return c > ' ' && c <= '~' && c != ':' && c != '/'; };
  return !text.empty() && std::ranges::all_of(text, plain);
}

Stored store_user(const Key& key, std::string_view text, Config& config) {
  if (!is_account(text)) return std::unexpected("expected a name in /etc/passwd");
  value_of<std::string>(key.text, config) = std::string(text);
  return {};
}

Stored store_account(const Key& key, std::string_view text, Config& config) {
  if (!is_account(text)) return std::unexpected("expected a name or a number");
  SocketFile& file = config.listeners.back().file;
  (key.name == "owner" ? file.owner : file.group) = text;
  return {};
}

Stored store_address(std::string_view text, Config& config) {
  auto place = parse_listen_place(text);
  if (!place) return std::unexpected(std::move(place.error()));
  config.listeners.back().address = place->address;
  config.listeners.back().file.path = std::move(place->path);
  return {};
}

// ── items of lists ──────────────────────────────────────────────────────────────────────────────────────────────────

constexpr Cidr multicast_v4{Address::v4(224, 0, 0, 0), 3};  // and what is above it, which no host bears either

Stored add_advertised(const Key& key, std::string_view text, Config& config) {
  std::vector<Address>& advertise = outside_of(key, config).advertise;
  const auto address = Address::parse(text);
  if (!address) return std::unexpected("expected an IP address, such as \"203.0.113.7\"");
  const bool multicast =
      address->is_v4() ? multicast_v4.contains(*address) : Cidr::parse("ff00::/8")->contains(*address);
  if (address->is_unspecified() || is_loopback(*address) || multicast) {
    return std::unexpected(fmt::format("nobody outside could reach {}", address->to_string()));
  }
  for (const Address& other : advertise) {
    if (other.family() == address->family()) return std::unexpected("one address of each family is enough");
  }
  advertise.push_back(*address);
  return {};
}

bool* protocol_named(std::string_view word, Protocols& protocols) {
  if (word == "socks5") return &protocols.socks5;
  if (word == "socks4") return &protocols.socks4;
  if (word == "http") return &protocols.http;
  return nullptr;
}

Stored add_protocol(std::string_view text, Config& config) {
  bool* const protocol = protocol_named(text, config.listeners.back().protocols);
  if (protocol == nullptr) return std::unexpected("expected socks5, socks4 or http");
  *protocol = true;
  return {};
}

std::vector<Cidr>& networks_of(const Key& key, Config& config) {
  if (key.table == "gateway") return key.name == "from" ? config.gateway.from : config.gateway.except;
  if (key.table == "upstream") return config.upstreams.back().relays;
  return key.table == "limits" ? config.limits.penalty_exempt : config.listeners.back().proxy_protocol_from;
}

Stored add_auth(std::string_view text, Config& config) {
  const auto method = auth_method_named(text);
  if (!method) return std::unexpected("expected one of " + auth_words());
  if (config.listeners.back().auth.admits(*method)) return std::unexpected(fmt::format("{} stands twice", text));
  config.listeners.back().auth.add(*method);
  return {};
}

Stored add_network(const Key& key, std::string_view text, Config& config) {
  const auto network = Cidr::parse(text);
  if (!network) {
    return std::unexpected(
        "expected an address or a network, such as \"10.0.0.5\" or \"10.0.0.0/24\" (no bit may be "
        "set behind the prefix)");
  }
  if (key.table == "gateway" && network->length == 0) return std::unexpected("expected less than every address");
  networks_of(key, config).push_back(*network);
  return {};
}

std::optional<ProxyTarget> parse_proxy_target(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view ports_given = text.substr(colon + 1);
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  const auto where = Cidr::parse(host);
  const auto ports = ports_given == "*" ? PortRange{} : parse_ports(ports_given);
  if (!where || !ports || where->base.is_v4() == brackets) return std::nullopt;
  return ProxyTarget{*where, *ports};
}

std::string target_text(const ProxyTarget& target) {
  const std::string ports = target.ports.first == 0 ? "*" : ports_text(target.ports);
  const std::string where = target.where.to_string();
  return target.where.base.is_v4() ? fmt::format("{}:{}", where, ports) : fmt::format("[{}]:{}", where, ports);
}

Stored add_target(std::string_view text, Config& config) {
  const auto target = parse_proxy_target(text);
  if (!target) {
    return std::unexpected(
        "expected an address or network and a port, such as \"10.0.0.80:443\", "
        "\"10.1.0.0/16:8000-8099\" or \"[2001:db8::/64]:*\"");
  }
  config.proxy_protocol_to.back().targets.push_back(*target);
  return {};
}

// The path first.
Stored add_program_word(std::string_view text, Config& config) {
  std::vector<std::string>& program = config.command.program;
  if (program.empty() && !text.starts_with('/')) return std::unexpected("expected the absolute path of a program");
  if (text.contains('\0')) return std::unexpected("an argument holds no NUL");
  program.emplace_back(text);
  return {};
}

Stored add_realm(std::string_view text, Config& config) {
  const auto is_odd = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '/' || c == '@'; };
  if (text.empty() || std::ranges::any_of(text, is_odd)) {
    return std::unexpected("expected a realm, such as \"EXAMPLE.ORG\"");
  }
  config.gssapi.realms.emplace_back(text);
  return {};
}

// Names that nobody is asked for (RFC 6761, 7686, 9476).
bool is_never_asked(const HostName& name) {
  constexpr std::array<std::string_view, 4> reserved{"localhost", "invalid", "onion", "alt"};
  return std::ranges::any_of(reserved, [&](std::string_view suffix) { return name.is_or_below(suffix); });
}

std::optional<HostName> parse_name(std::string_view text) {
  const auto host = canonical_host(text);
  if (!host || !std::holds_alternative<HostName>(*host)) return std::nullopt;
  return std::get<HostName>(*host);
}

Stored add_suffix(std::string_view text, Config& config) {
  const auto name = parse_name(text);
  if (!name) {
    return std::unexpected(
        "expected a name without a dot or a star before it, such as \"corp.example\" or \"10.in-addr.arpa\"");
  }
  if (is_never_asked(*name)) return std::unexpected(fmt::format("no resolver is asked for names below {}", text));
  std::vector<HostName>& suffixes = config.resolvers.back().suffixes;
  if (std::ranges::find(suffixes, *name) != suffixes.end())
    return std::unexpected(fmt::format("{} stands twice", text));
  suffixes.push_back(*name);
  return {};
}

// "10.0.0.53", "10.0.0.53:5353", "fd00::53" and "[fd00::53]:5353".
constexpr std::uint16_t dns_port = 53;

std::optional<Endpoint> parse_dns_server(std::string_view text) {
  const auto address = Address::parse(text);
  const auto server = address ? Endpoint{.address = *address, .port = dns_port} : Endpoint::parse(text);
  if (!server || server->port == 0 || server->address.is_unspecified()) return std::nullopt;
  return server;
}

Stored store_dns_address(std::string_view text, Config& config) {
  const auto address = Address::parse(text);
  const auto place = address ? Endpoint{.address = *address, .port = dns_port} : Endpoint::parse(text);
  if (!place || place->port == 0) {
    return std::unexpected("expected an IP address, such as \"10.0.0.1\", \"127.0.0.1:5353\" or \"[::1]:53\"");
  }
  config.dns.back().address = *place;
  return {};
}

Stored add_dns_server(std::string_view text, Config& config) {
  std::vector<Endpoint>& servers = config.resolvers.back().servers;
  const auto server = parse_dns_server(text);
  if (!server) {
    return std::unexpected(
        "expected the address of a DNS server, such as \"10.0.0.53\", \"10.0.0.53:5353\" or \"[fd00::53]:53\"");
  }
  if (std::ranges::find(servers, *server) != servers.end())
    return std::unexpected(fmt::format("{} stands twice", text));
  if (servers.size() == limits::resolver_servers_max) {
    return std::unexpected(fmt::format("{} servers are enough", limits::resolver_servers_max));
  }
  servers.push_back(*server);
  return {};
}

Stored add_server(std::string_view text, Config& config) {
  auto url = wire::parse_proxy_url(text);
  if (!url) return std::unexpected(fmt::format("{} ({})", url.error().why, url.error().cure));
  if (url->password) {
    return std::unexpected("a password does not stand here: write it into a file and name that in password_file");
  }
  std::vector<wire::ProxyUrl>& servers = config.upstreams.back().servers;
  if (servers.size() == limits::upstream_members_max) {
    return std::unexpected(fmt::format("more than {} servers", limits::upstream_members_max));
  }
  if (std::ranges::find(servers, *url) != servers.end()) return std::unexpected("it stands twice");
  const bool alike = servers.empty() || servers.front().resolves_names == url->resolves_names;
  if (!alike) {
    return std::unexpected(
        "some servers here take names and others addresses: rules could not tell which is meant (make two upstreams)");
  }
  servers.push_back(*std::move(url));
  return {};
}

std::string server_text(const wire::ProxyUrl& url) {
  const std::string text = url.to_string();
  if (!url.user) return text;
  const std::size_t host = text.find("://") + 3;
  std::string user;
  for (const char c : *url.user) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    user += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text.substr(0, host) + user + "@" + text.substr(host);
}

Stored add_pac_way(std::string_view text, Config& config) {
  std::vector<wire::PacWay>& ways = config.listeners.back().pac;
  if (text != "http" && text != "socks5") return std::unexpected("expected http or socks5");
  const wire::PacWay way = text == "http" ? wire::PacWay::http : wire::PacWay::socks5;
  if (std::ranges::find(ways, way) != ways.end()) return std::unexpected(fmt::format("{} stands twice", text));
  ways.push_back(way);
  return {};
}

Stored add_direct(std::string_view text, Config& config) {
  std::vector<std::variant<HostName, Cidr>>& direct = config.pac.direct;
  if (direct.size() == limits::pac_direct_max) {
    return std::unexpected(fmt::format("more than {} of them", limits::pac_direct_max));
  }
  if (const auto network = Cidr::parse(text)) {
    direct.emplace_back(*network);
    return {};
  }
  const auto host = canonical_host(text);
  const auto* const name = host ? std::get_if<HostName>(&*host) : nullptr;
  if (name == nullptr) {
    return std::unexpected(
        "expected a name, which includes what is below it, an address or a network, such as \"intranet.example.org\" "
        "or \"10.0.0.0/8\"");
  }
  direct.emplace_back(*name);
  return {};
}

Stored add_interface(std::string_view text, Config& config) {
  const auto name = InterfaceName::parse(text);
  if (!name || text == "lo") return std::unexpected("expected an interface that others are behind, such as \"eth1\"");
  config.gateway.lan.push_back(*name);
  return {};
}

Stored add_network_user(std::string_view text, Config& config) {
  const std::size_t equals = std::min(text.find('='), text.size());
  const auto network = Cidr::parse(text.substr(0, equals));
  const std::string_view user = text.substr(std::min(equals + 1, text.size()));
  // What rules would take for somebody else.
  const bool word = user == "anyone" || user == "anonymous" || user == "authenticated";
  if (!network || !policy::is_plain_name(user) || word) {
    return std::unexpected("expected a network and a user's name, such as \"10.1.2.0/24=alice\"");
  }
  config.gateway.users.push_back({*network, std::string(user)});
  return {};
}

Stored add_item(const Key& key, std::string_view text, Config& config) {
  switch (key.type) {
    case KeyType::servers:
      return add_server(text, config);
    case KeyType::addresses:
      return add_advertised(key, text, config);
    case KeyType::protocols:
      return add_protocol(text, config);
    case KeyType::networks:
      return add_network(key, text, config);
    case KeyType::auth:
      return add_auth(text, config);
    case KeyType::program:
      return add_program_word(text, config);
    case KeyType::realms:
      return add_realm(text, config);
    case KeyType::suffixes:
      return add_suffix(text, config);
    case KeyType::dns_servers:
      return add_dns_server(text, config);
    case KeyType::pac_ways:
      return add_pac_way(text, config);
    case KeyType::direct:
      return add_direct(text, config);
    case KeyType::interfaces:
      return add_interface(text, config);
    case KeyType::mappings:
      return add_network_user(text, config);
    default:
      return add_target(text, config);
  }
}

void clear_list(const Key& key, Config& config) {
  switch (key.type) {
    case KeyType::servers:
      return config.upstreams.back().servers.clear();
    case KeyType::addresses:
      return outside_of(key, config).advertise.clear();
    case KeyType::protocols:
      config.listeners.back().protocols = {.socks5 = false, .socks4 = false, .http = false};
      return;
    case KeyType::networks:
      return networks_of(key, config).clear();
    case KeyType::auth:
      config.listeners.back().auth = {};
      return;
    case KeyType::program:
      return config.command.program.clear();
    case KeyType::realms:
      return config.gssapi.realms.clear();
    case KeyType::suffixes:
      return config.resolvers.back().suffixes.clear();
    case KeyType::dns_servers:
      return config.resolvers.back().servers.clear();
    case KeyType::pac_ways:
      return config.listeners.back().pac.clear();
    case KeyType::direct:
      return config.pac.direct.clear();
    case KeyType::interfaces:
      return config.gateway.lan.clear();
    case KeyType::mappings:
      return config.gateway.users.clear();
    default:
      return config.proxy_protocol_to.back().targets.clear();
  }
}

// The `index`-th, or one with the defaults where there is none.
Listener listener_at(const Config& config, std::size_t index) {
  return index < config.listeners.size() ? config.listeners[index] : Listener{};
}
ProxyProtocolTo proxy_protocol_at(const Config& config, std::size_t index) {
  return index < config.proxy_protocol_to.size() ? config.proxy_protocol_to[index] : ProxyProtocolTo{};
}
Upstream upstream_at(const Config& config, std::size_t index) {
  return index < config.upstreams.size() ? config.upstreams[index] : Upstream{};
}
Resolver resolver_at(const Config& config, std::size_t index) {
  return index < config.resolvers.size() ? config.resolvers[index] : Resolver{};
}
/// A configuration whose last listener, upstream and resolver are those, for `part`.
Config with_table_at(const Config& config, std::size_t index) {
  Config alone;
  alone.listeners.push_back(listener_at(config, index));
  alone.upstreams.push_back(upstream_at(config, index));
  alone.resolvers.push_back(resolver_at(config, index));
  return alone;
}

}  // namespace

std::expected<void, std::string> store_text(const Key& key, std::string_view text, Config& config) {
  switch (key.type) {
    case KeyType::address:
      return store_address(text, config);
    case KeyType::dns_address:
      return store_dns_address(text, config);
    case KeyType::log_format:
      return store_log_format(text, config);
    case KeyType::number:
      return store_number(key, parse_number<std::int64_t>(text).value_or(-1), config);
    case KeyType::choice:
      return store_choice(key, text, config);
    case KeyType::ports:
      return store_ports(key, text, config);
    case KeyType::mode:
      return store_mode(text, config);
    case KeyType::account:
      return store_account(key, text, config);
    case KeyType::socket:
      return store_socket(key, text, config);
    case KeyType::file:
      return store_file(key, text, config);
    case KeyType::service:
      return store_service(key, text, config);
    case KeyType::principal:
      return store_principal(key, text, config);
    case KeyType::host:
      return store_host(key, text, config);
    case KeyType::user:
      return store_user(key, text, config);
    case KeyType::sandbox:
      return store_sandbox(text, config);
    case KeyType::name:
      return store_name(text, config);
    case KeyType::pick:
      return store_pick(text, config);
    case KeyType::egress:
      return store_egress(text, config);
    default:
      return store_duration(key, text, config);
  }
}

std::expected<void, std::string> store_number(const Key& key, std::int64_t number, Config& config) {
  if (number < std::int64_t{key.least} || number > std::int64_t{key.most}) {
    return std::unexpected(fmt::format("expected a whole number from {} to {}", key.least, key.most));
  }
  const auto stored = static_cast<std::uint32_t>(number);
  if (key.limit != nullptr) {
    config.limits.*key.limit = stored;
  } else if (key.number != nullptr) {
    config.*key.number = stored;
  } else if (key.count != nullptr) {
    config.upstreams.back().*key.count = stored;
  } else {
    config.proxy_protocol_to.back().version = stored;
  }
  return {};
}

std::expected<void, ListFault> store_list(const Key& key, const std::vector<std::string>& items, Config& config) {
  clear_list(key, config);
  const bool means_nothing = key.type == KeyType::protocols || key.type == KeyType::targets ||
                             key.type == KeyType::auth || key.type == KeyType::program ||
                             key.type == KeyType::suffixes || key.type == KeyType::dns_servers ||
                             key.type == KeyType::servers || key.type == KeyType::pac_ways;
  if (items.empty() && means_nothing) return std::unexpected(ListFault{0, "the list is empty"});
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (auto added = add_item(key, items[i], config); !added) {
      return std::unexpected(ListFault{i, std::move(added.error())});
    }
  }
  return {};
}

std::expected<void, std::string> store_host(std::string_view name, const std::vector<std::string>& addresses,
                                            Config& config) {
  const auto host = parse_name(name);
  if (!host) return std::unexpected("expected a host's name, such as \"intra.corp.example\"");
  if (host->is_or_below("localhost")) return std::unexpected("localhost is always this host itself");
  if (host->is_or_below("invalid")) return std::unexpected("names below invalid have no address (RFC 6761)");
  if (addresses.empty()) return std::unexpected("the list is empty");
  std::vector<Address> parsed;
  for (const std::string& text : addresses) {
    const auto address = Address::parse(text);
    if (!address) return std::unexpected("expected IP addresses, such as \"10.1.2.3\" or \"fd00::3\"");
    if (std::ranges::find(parsed, *address) == parsed.end()) parsed.push_back(*address);
  }
  if (parsed.size() > limits::candidates_max) {
    return std::unexpected(fmt::format("{} addresses are enough", limits::candidates_max));
  }
  if (!config.names.hosts.emplace(*host, std::move(parsed)).second) return std::unexpected("it stands twice");
  return {};
}

std::expected<ListenPlace, std::string> parse_listen_place(std::string_view text) {
  constexpr std::string_view prefix = "unix:";
  if (text.starts_with(prefix)) {
    const std::string_view path = text.substr(prefix.size());
    const bool has_control = std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < ' '; });
    if (!path.starts_with('/') || path.ends_with('/') || path.size() > socket_path_octets_max || has_control) {
      return std::unexpected(fmt::format(
          "expected the absolute path of a socket behind \"unix:\", of at most {} octets", socket_path_octets_max));
    }
    return ListenPlace{{}, std::string(path)};
  }
  if (const std::optional<Endpoint> endpoint = Endpoint::parse(text)) return ListenPlace{*endpoint, {}};
  return std::unexpected(
      "expected an IP address and a port, such as \"127.0.0.1:1080\" or \"[::1]:1080\", or \"unix:/PATH\"; host names "
      "are not looked up here");
}

std::string value_text(const Key& key, const Config& all, std::size_t index) {
  const bool one_listeners = key.table == "listen" && key.type == KeyType::choice;
  const bool in_turn = key.table == "upstream" || key.table == "resolver" || one_listeners;
  const Config alone = in_turn ? with_table_at(all, index) : Config{};
  const Config& config = in_turn ? alone : all;
  switch (key.type) {
    case KeyType::name:
      return config.upstreams.back().name;
    case KeyType::pick:
      return std::string(pick_words[static_cast<std::size_t>(config.upstreams.back().pick)]);
    case KeyType::egress:
      return config.upstreams.back().egress.place_text();
    case KeyType::dns_address:
      return index < config.dns.size() ? config.dns[index].address.to_string() : "";
    case KeyType::address:
      return index < config.listeners.size() ? config.listeners[index].where() : "";
    case KeyType::number:
      if (key.limit != nullptr) return std::to_string(config.limits.*key.limit);
      if (key.number != nullptr) return std::to_string(config.*key.number);
      if (key.count != nullptr) return std::to_string(config.upstreams.back().*key.count);
      return std::to_string(proxy_protocol_at(config, index).version);
    case KeyType::duration:
      return to_text(value_of<Duration>(key.duration, config));
    case KeyType::optional_duration: {
      const Duration duration = value_of<Duration>(key.duration, config);
      return duration == Duration::zero() ? "off" : to_text(duration);
    }
    case KeyType::log_format:
      return std::string(word(config.log));
    case KeyType::sandbox:
      return std::string(word(config.sandbox));
    case KeyType::rules:
      return config.policy_rules;
    case KeyType::expect:
      return config.policy_expect;
    case KeyType::lists:
      return fmt::format("{}", fmt::join(std::views::keys(config.policy_lists), ", "));
    case KeyType::hosts: {
      const auto texts = config.names.hosts | std::views::keys | std::views::transform(&HostName::text);
      return fmt::format("{}", fmt::join(texts, ", "));
    }
    case KeyType::choice:
      return std::string(key.words[value_of<bool>(key.choice, config) ? 1 : 0]);
    case KeyType::ports: {
      const PortRange& ports = outside_of(key, config).ports;
      return ports.first == 0 ? "any" : ports_text(ports);
    }
    case KeyType::socket:
    case KeyType::file:
    case KeyType::service:
    case KeyType::principal:
    case KeyType::host:
    case KeyType::user:
      return value_of<std::string>(key.text, config);
    case KeyType::mode:
      return fmt::format("{:04o}", listener_at(config, index).file.mode);
    case KeyType::account: {
      const SocketFile file = listener_at(config, index).file;
      return key.name == "owner" ? file.owner : file.group;
    }
    default:
      return fmt::format("{}", fmt::join(value_list(key, all, index), ", "));
  }
}

std::vector<std::string> value_list(const Key& key, const Config& config, std::size_t index) {
  std::vector<std::string> items;
  const Listener listener = listener_at(config, index);
  switch (key.type) {
    case KeyType::addresses:
      for (const Address& address : outside_of(key, config).advertise) items.push_back(address.to_string());
      break;
    case KeyType::protocols:
      if (listener.protocols.socks5) items.emplace_back("socks5");
      if (listener.protocols.socks4) items.emplace_back("socks4");
      if (listener.protocols.http) items.emplace_back("http");
      break;
    case KeyType::networks:
      for (const Cidr& network : key.table == "upstream" ? upstream_at(config, index).relays
                                 : key.table == "limits" ? config.limits.penalty_exempt
                                 : key.table == "listen" ? listener.proxy_protocol_from
                                 : key.name == "from"    ? config.gateway.from
                                                         : config.gateway.except) {
        items.push_back(network.to_string());
      }
      break;
    case KeyType::auth:
      for (const AuthMethod method : auth_of(config, listener).in_order()) items.emplace_back(name(method));
      break;
    case KeyType::program:
      return config.command.program;
    case KeyType::realms:
      return config.gssapi.realms;
    case KeyType::suffixes:
      for (const HostName& suffix : resolver_at(config, index).suffixes) items.push_back(suffix.text());
      break;
    case KeyType::dns_servers:
      for (const Endpoint& server : resolver_at(config, index).servers) items.push_back(server.to_string());
      break;
    case KeyType::servers:
      if (index >= config.upstreams.size()) break;
      for (const wire::ProxyUrl& url : config.upstreams[index].servers) items.push_back(server_text(url));
      break;
    case KeyType::pac_ways:
      for (const wire::PacWay way : listener.pac) items.emplace_back(way == wire::PacWay::http ? "http" : "socks5");
      break;
    case KeyType::direct:
      for (const auto& place : config.pac.direct) {
        const auto* const name = std::get_if<HostName>(&place);
        items.push_back(name != nullptr ? name->text() : std::get<Cidr>(place).to_string());
      }
      break;
    case KeyType::interfaces:
      for (const InterfaceName& name : config.gateway.lan) items.emplace_back(name.text());
      break;
    case KeyType::mappings:
      for (const NetworkUser& one : config.gateway.users) {
        items.push_back(fmt::format("{}={}", one.network.to_string(), one.user));
      }
      break;
    default:
      for (const ProxyTarget& target : proxy_protocol_at(config, index).targets) items.push_back(target_text(target));
      break;
  }
  return items;
}

}  // namespace stile::config
