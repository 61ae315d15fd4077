#include "server/banner.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/loopback.h"

namespace stile::server {
namespace {

template <class Items>
std::string joined(const Items& items) {
  std::string text;
  for (const auto& item : items) text += fmt::format("{}{}", text.empty() ? "" : ", ", item.to_string());
  return text;
}

void add_outside(std::string_view what, const config::Outside& outside, std::vector<std::string>& facts) {
  std::string text;
  if (outside.ports.first != 0) text = fmt::format("at ports {}-{}", outside.ports.first, outside.ports.last);
  if (!outside.advertise.empty()) {
    text += fmt::format("{}as {} to those outside", text.empty() ? "" : ", ", joined(outside.advertise));
  }
  if (!text.empty()) facts.push_back(fmt::format("{} {}", what, text));
}

EgressSettings egress_of(const config::Upstream& upstream) {
  EgressSettings egress = upstream.egress;
  egress.mark = upstream.mark;
  return egress;
}

void add_missing(const std::string& whose, const EgressSettings& egress, const EgressFacts& host,
                 std::vector<Shortcoming>& missing) {
  const auto holds = [&](const Cidr& one) { return one.contains(*egress.from); };
  const bool checkable = egress.from && !host.addresses.empty() && !is_loopback(egress.from->base);
  if (checkable && std::ranges::none_of(host.addresses, holds)) {
    const bool prefix = *egress.from != Cidr::host(egress.from->base);
    const std::string address = prefix ? egress.from->to_string() : egress.from->base.to_string();
    missing.push_back({.what = fmt::format("{} cannot leave from {}", whose, address),
                       .why = prefix ? "this host takes no packets for it" : "no interface of this host has it",
                       .cure = prefix ? fmt::format("`ip route add local {} dev lo`", address)
                                      : fmt::format("`ip address add {} dev INTERFACE`", egress.from->to_string())});
  }
  if (!egress.interface.empty() && !host.has_interface(egress.interface)) {
    missing.push_back({.what = fmt::format("{} cannot leave by {}", whose, egress.interface.text()),
                       .why = "this host has no such interface",
                       .cure = "`ip link` shows those that it has"});
  }
  if (egress.mark != 0 && !host.may_mark) {
    missing.push_back({.what = fmt::format("{} cannot set its mark {}", whose, egress.mark),
                       .why = "that is a privilege (CAP_NET_RAW; before Linux 5.17 CAP_NET_ADMIN)",
                       .cure = host.mark_cure});
  }
}

}  // namespace

std::string admitted(const config::Config& config, const config::Listener& listener) {
  std::string text;
  const auto add = [&](bool on, std::string_view name) {
    if (on) text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
  };
  add(listener.protocols.socks5, "SOCKS5");
  add(listener.protocols.socks4 && config::auth_of(config, listener).admits_without_password(), "SOCKS4");
  add(listener.protocols.http, "HTTP");
  if (listener.tls.is_on()) text += listener.tls.optional ? "; plain or inside TLS" : "; inside TLS";
  if (!listener.tls.client_ca.empty()) text += " with a client's certificate";
  if (!listener.proxy_protocol_from.empty()) {
    text += fmt::format("; PROXY header from {} required", joined(listener.proxy_protocol_from));
  }
  return text;
}

std::string who_may(const config::Config& config, const config::Listener& listener) {
  const AuthMethods auth = config::auth_of(config, listener);
  const bool password = auth.password_judge().has_value();
  const bool none = auth.admits(AuthMethod::none);
  std::vector<std::string_view> shown;
  if (auth.admits(AuthMethod::certificate)) shown.push_back("a certificate");
  if (auth.admits(AuthMethod::gssapi)) shown.push_back("a Kerberos ticket");
  if (password) shown.push_back("a password");
  const std::string proof = fmt::format("{}", fmt::join(shown, " or "));
  if (config.policy == nullptr) {
    const bool local = listener.is_unix() || is_loopback(listener.address.address);
    if (!local) return "nobody, since there is no [policy]";
    if (shown.empty()) return "clients on this host, without authentication";
    return fmt::format("clients on this host, with {}{}", none ? "or without " : "", proof);
  }
  const std::string who = shown.empty() ? "clients without authentication"
                          : none        ? fmt::format("clients with or without {}", proof)
                                        : fmt::format("users with {}", proof);
  const std::size_t rules = config.policy->rules().size();
  return fmt::format("{}, as {} rule{} of the policy say{}", who, rules, rules == 1 ? "" : "s", rules == 1 ? "s" : "");
}

std::vector<std::string> outside_facts(const config::Config& config) {
  std::vector<std::string> facts;
  add_outside("UDP relays", config.udp.outside, facts);
  if (config.udp.full_cone) facts.emplace_back("UDP answers are taken from anybody (udp.filter = \"any\")");
  add_outside("BIND", config.bind.outside, facts);
  std::size_t targets = 0;
  for (const config::ProxyProtocolTo& table : config.proxy_protocol_to) targets += table.targets.size();
  if (targets != 0) {
    facts.push_back(
        fmt::format("{} target{} told who the client is by a PROXY header", targets, targets == 1 ? " is" : "s are"));
  }
  return facts;
}

std::vector<Shortcoming> missing_egress(const config::Config& config, const EgressFacts& host) {
  std::vector<Shortcoming> missing;
  if (config.policy != nullptr) {
    for (std::size_t i = 0; i < config.policy->rules().size(); ++i) {
      add_missing(fmt::format("rule '{}'", config.policy->rules()[i].name),
                  config.policy->options(static_cast<int>(i)).egress, host, missing);
    }
  }
  for (const config::Upstream& upstream : config.upstreams) {
    add_missing(fmt::format("upstream '{}'", upstream.name), egress_of(upstream), host, missing);
  }
  return missing;
}

bool shows_tickets(const config::Config& config) noexcept {
  const auto by_ticket = [](const wire::ProxyUrl& url) { return url.protection == wire::ProxyProtection::gssapi; };
  return std::ranges::any_of(config.upstreams, [&](const config::Upstream& upstream) {
    return std::ranges::any_of(upstream.servers, by_ticket);
  });
}

bool marks(const config::Config& config) noexcept {
  if (std::ranges::any_of(config.upstreams, [](const config::Upstream& one) { return one.mark != 0; })) return true;
  if (config.policy == nullptr) return false;
  for (std::size_t i = 0; i < config.policy->rules().size(); ++i) {
    if (config.policy->options(static_cast<int>(i)).egress.mark != 0) return true;
  }
  return false;
}

std::string trial(const config::Config& config, const config::Listener& listener, const Endpoint& where) {
  const std::string_view user = config::auth_of(config, listener).admits(AuthMethod::none) ? "" : " -U USER";
  if (listener.is_unix()) return fmt::format("curl -x socks5h://localhost{}{} http://HOST/", listener.file.path, user);
  const std::string proxy =
      where.address.is_unspecified() ? fmt::format("ADDRESS-OF-THIS-HOST:{}", where.port) : where.to_string();
  if (listener.tls.is_on() && !listener.tls.optional) {
    const std::string_view certificate = listener.tls.client_ca.empty() ? "" : " --proxy-cert CERTIFICATE";
    if (!listener.protocols.http) return fmt::format("openssl s_client -connect {}", proxy);
    return fmt::format("curl --proxy-cacert CA{} -x https://{}{} http://HOST/", certificate, proxy, user);
  }
  const std::string_view scheme = listener.protocols.socks5   ? "socks5h"
                                  : listener.protocols.socks4 ? "socks4a"
                                                              : "http";
  return fmt::format("curl -x {}://{}{} http://HOST/", scheme, proxy, user);
}

}  // namespace stile::server
