#include "netns/inside.h"

#include <algorithm>

#include "resolve/stand_in_names.h"

namespace stile::netns {
namespace {

void replace(std::string& text, std::string_view what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
}

}  // namespace

std::string packet_rules() {
  std::string text = R"(table inet stile {
  chain arrive {
    type filter hook prerouting priority mangle; policy drop;
    ip daddr { 127.0.0.0/8, OWN_V4 } accept
    ip6 daddr { ::1, OWN_V6 } accept
    meta l4proto { tcp, udp } th dport NAME_PORT accept
    icmp type echo-request accept
    icmpv6 type echo-request accept
    meta nfproto ipv4 meta l4proto tcp tproxy ip to OWN_V4:ENTRANCE accept
    meta nfproto ipv6 meta l4proto tcp tproxy ip6 to [OWN_V6]:ENTRANCE accept
    meta nfproto ipv4 meta l4proto udp tproxy ip to OWN_V4:ENTRANCE accept
    meta nfproto ipv6 meta l4proto udp tproxy ip6 to [OWN_V6]:ENTRANCE accept
  }
  chain leave {
    type filter hook output priority filter; policy accept;
    ip daddr { 127.0.0.0/8, OWN_V4 } accept
    ip6 daddr { ::1, OWN_V6 } accept
    ip daddr { 224.0.0.0/4, 255.255.255.255 } reject with icmpx admin-prohibited
    ip6 daddr ff00::/8 reject with icmpx admin-prohibited
    meta l4proto { tcp, udp } accept
    icmp type echo-request accept
    icmpv6 type echo-request accept
    reject with icmpx admin-prohibited
  }
}
)";
  replace(text, "OWN_V4", resolve::own_v4().to_string());
  replace(text, "OWN_V6", resolve::own_v6().to_string());
  replace(text, "NAME_PORT", std::to_string(name_port));
  replace(text, "ENTRANCE", std::to_string(entrance_port));
  return text;
}

std::string resolv_conf() {
  return "nameserver " + resolve::own_v4().to_string() + "\n";
}

std::string nsswitch_conf(std::string_view own) {
  std::string text;
  while (!own.empty()) {
    const std::string_view line = own.substr(0, own.find('\n'));
    own.remove_prefix(std::min(line.size() + 1, own.size()));
    const std::size_t word = line.find_first_not_of(" \t");
    if (word != std::string_view::npos && line.substr(word).starts_with("hosts")) continue;
    text += line;
    text += '\n';
  }
  return text + "hosts: files dns\n";
}

}  // namespace stile::netns
