#include "netns/gateway_rules.h"

#include <array>
#include <cstdio>
#include <string_view>
#include <vector>

namespace stile::netns {
namespace {

constexpr std::string_view empty_table =
    "table inet stile_gateway\n"
    "delete table inet stile_gateway\n";

void replace(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
}

std::string hexadecimal(std::uint32_t number) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%08x", number);
  return text.data();
}

/// "    ip saddr { 10.1.0.0/16, 10.2.0.0/16 } accept\n", and the same of IPv6; nothing of a family that has none.
std::string of_networks(std::string_view which, const std::vector<Cidr>& networks, std::string_view what) {
  std::string text;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    std::string list;
    for (const Cidr& network : networks) {
      if (network.base.family() == family) list += (list.empty() ? "" : ", ") + network.to_string();
    }
    if (list.empty()) continue;
    text += std::string("    ") + (family == Family::ipv4 ? "ip " : "ip6 ");
    text += std::string(which) + " { " + list + " } " + std::string(what) + "\n";
  }
  return text;
}

/// Those whose packets are taken go on there.
std::string of_sources(const config::Gateway& gateway, std::string_view where) {
  const std::string go_on = "goto " + std::string(where);
  std::string names;
  for (const InterfaceName& name : gateway.lan) {
    names += (names.empty() ? "\"" : ", \"") + std::string(name.text()) + "\"";
  }
  const std::string lan = names.empty() ? "" : "    iifname { " + names + " } " + go_on + "\n";
  return lan + of_networks("saddr", gateway.from, go_on);
}

// Of what arrives: a sender who is not where it came from is dropped, or it could have the kernel take its next packets
// for answers, and forward them; what belongs to a connection that was taken goes to it, errors too. What comes from
// networks that are left alone, answers to who came from outside, what is for this host itself or for a neighbour, and
// what is left to the host's own routing is not taken. In the order of the chain.
constexpr std::string_view by_tproxy = R"(table inet stile_gateway {
  chain arrive {
    type filter hook prerouting priority mangle; policy accept;
    iifname "lo" accept
SOURCES_ARRIVE  }
  chain divert {
LEFT_ALONE    fib daddr type != { broadcast, multicast } fib saddr . iif oif missing drop
    meta l4proto tcp socket transparent 1 meta mark set MARK accept
    icmp type { destination-unreachable, time-exceeded, parameter-problem } ct state related meta mark set MARK accept
    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } ct state related meta mark set MARK accept
    ct direction reply accept
    meta nfproto ipv4 meta l4proto { tcp, udp } th dport 53 tproxy ip to 127.0.0.1:NAME_PORT meta mark set MARK accept
    meta nfproto ipv6 meta l4proto { tcp, udp } th dport 53 tproxy ip6 to [::1]:NAME_PORT meta mark set MARK accept
    fib daddr type { local, broadcast, anycast, multicast } accept
    ip6 daddr fe80::/10 accept
EXCEPT    meta nfproto ipv4 meta l4proto { tcp, udp } tproxy ip to 127.0.0.1:ENTRANCE meta mark set MARK accept
    meta nfproto ipv6 meta l4proto { tcp, udp } tproxy ip6 to [::1]:ENTRANCE meta mark set MARK accept
    icmp type echo-request meta mark set MARK accept
    icmpv6 type echo-request meta mark set MARK accept
  }
  chain answer {
    type filter hook output priority raw; policy accept;
    meta mark ANSWER notrack accept
    icmp type echo-reply fib saddr type != local drop
    icmpv6 type echo-reply fib saddr type != local drop
  }
)";

constexpr std::string_view by_redirect = R"(table inet stile_gateway {
  chain arrive {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "lo" accept
SOURCES_ARRIVE  }
  chain divert {
LEFT_ALONE    meta l4proto { tcp, udp } th dport 53 redirect to :NAME_PORT
    fib daddr type { local, broadcast, anycast, multicast } accept
    ip6 daddr fe80::/10 accept
EXCEPT    meta l4proto tcp redirect to :ENTRANCE
  }
  chain guard {
    type filter hook input priority filter; policy accept;
    ct status dnat accept
    tcp dport { NAME_PORT, ENTRANCE } reject with tcp reset
    udp dport NAME_PORT reject
  }
)";

// Whatever was not taken, for want of a server or of a way, goes nowhere.
constexpr std::string_view not_forwarded = R"(  chain pass {
    type filter hook forward priority filter; policy accept;
SOURCES_PASS  }
  chain refuse {
LEFT_ALONE    ct direction reply accept
EXCEPT    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
}
)";

}  // namespace

std::string gateway_rules(const config::Gateway& gateway) {
  std::string text(gateway.redirect ? by_redirect : by_tproxy);
  text += not_forwarded;
  replace(text, "LEFT_ALONE", of_networks("saddr", gateway.except, "accept"));
  replace(text, "EXCEPT", of_networks("daddr", gateway.except, "accept"));
  replace(text, "NAME_PORT", std::to_string(gateway_name_port));
  replace(text, "ENTRANCE", std::to_string(gateway_port));
  replace(text, "MARK", hexadecimal(gateway_mark));
  replace(text, "ANSWER", hexadecimal(gateway_answer_mark));
  // Last: an interface may be called as people like.
  replace(text, "SOURCES_ARRIVE", of_sources(gateway, "divert"));
  replace(text, "SOURCES_PASS", of_sources(gateway, "refuse"));
  return std::string(empty_table) + text;
}

std::string no_gateway_rules() {
  return std::string(empty_table);
}

std::string look_for_gateway_rules() {
  return "list table inet stile_gateway\n";
}

std::string gateway_script(const config::Gateway& gateway) {
  std::string text = "set -e\nnft -f - <<'END'\n" + gateway_rules(gateway) + "END\n";
  std::string undo = "# To take it back:\n# nft delete table inet stile_gateway\n";
  if (gateway.redirect) return text + undo;
  for (const std::string_view family : {"-4", "-6"}) {
    const std::string number = std::to_string(gateway_route_number);
    const std::string ip = "ip " + std::string(family) + " ";
    const std::string end = family == "-6" ? " || :\n" : "\n";  // a system without IPv6 does without
    text += ip + "route replace local default dev lo proto static table " + number + end;
    text += ip + "rule delete preference " + number + " 2>/dev/null || :\n";
    text += ip + "rule add preference " + number + " fwmark " + hexadecimal(gateway_mark) + " lookup " + number + end;
    undo += "# " + ip + "rule delete preference " + number + "\n# " + ip + "route flush table " + number + "\n";
  }
  return text + undo;
}

}  // namespace stile::netns
