#include "server/banner.h"

#include <fmt/format.h>

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

}  // namespace

std::string admitted(const config::Listener& listener) {
  std::string text;
  const auto add = [&](bool on, std::string_view name) {
    if (on) text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
  };
  add(listener.protocols.socks5, "SOCKS5");
  add(listener.protocols.socks4, "SOCKS4");
  add(listener.protocols.http, "HTTP");
  if (!listener.proxy_protocol_from.empty()) {
    text += fmt::format("; PROXY header from {} required", joined(listener.proxy_protocol_from));
  }
  return text;
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

std::string trial(const config::Listener& listener, const Endpoint& where) {
  if (listener.is_unix()) return fmt::format("curl -x socks5h://localhost{} http://HOST/", listener.file.path);
  const std::string_view scheme = listener.protocols.socks5   ? "socks5h"
                                  : listener.protocols.socks4 ? "socks4a"
                                                              : "http";
  const std::string proxy =
      where.address.is_unspecified() ? fmt::format("ADDRESS-OF-THIS-HOST:{}", where.port) : where.to_string();
  return fmt::format("curl -x {}://{} http://HOST/", scheme, proxy);
}

}  // namespace stile::server
