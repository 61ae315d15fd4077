#include "wire/pac.h"

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::wire {
namespace {

constexpr std::string_view opening = "// From the proxy, for browsers: which way a URL goes.\nvar proxy = ";

// Browsers hand over an address without brackets or with them; its groups of 16 bits are compared as numbers. An IPv4
// address inside an IPv6 one is the IPv4 address, as it is to the proxy.
constexpr std::string_view function = R"(
function groups(host) {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) {
    var quad = host.split(".");
    return [quad[0] * 256 + +quad[1], quad[2] * 256 + +quad[3]];
  }
  if (!/^[0-9a-f:]*:[0-9a-f:]*$/.test(host)) return null;
  var ends = host.split("::");
  var all = ends[0] ? ends[0].split(":") : [];
  if (ends.length > 1) {
    var last = ends[1] ? ends[1].split(":") : [];
    while (all.length + last.length < 8) all.push("0");
    all = all.concat(last);
  }
  for (var i = 0; i < all.length; i++) all[i] = parseInt(all[i], 16);
  return all.slice(0, 6).join() == "0,0,0,0,0,65535" ? all.slice(6) : all;
}

function within(address, network, bits) {
  if (address.length != network.length) return false;
  for (var i = 0; bits > 0; i++, bits -= 16) {
    var unused = bits < 16 ? 16 - bits : 0;
    if (address[i] >> unused != network[i] >> unused) return false;
  }
  return true;
}

function FindProxyForURL(url, host) {
  host = host.toLowerCase().replace(/^\[|\]$|\.$/g, "");
  var address = groups(host);
  for (var i = 0; address && i < networks.length; i++) {
    if (within(address, groups(networks[i][0]), networks[i][1])) return "DIRECT";
  }
  if (address) return proxy;
  if (host.indexOf(".") < 0) return "DIRECT";
  for (var j = 0; j < names.length; j++) {
    if (("." + host).slice(-names[j].length - 1) == "." + names[j]) return "DIRECT";
  }
  return proxy;
}
)";

bool stands_for_itself(char octet) noexcept {
  const auto letter = static_cast<char>(octet | 0x20);
  return (letter >= 'a' && letter <= 'z') || (octet >= '0' && octet <= '9') ||
         std::string_view(" -.:;[]_").find(octet) != std::string_view::npos;
}

std::string_view word(PacWay way) noexcept {
  return way == PacWay::http ? "PROXY" : "SOCKS5";
}

std::string place_of(const std::optional<Host>& host, const Endpoint& reached) {
  if (!host) return reached.to_string();
  return Target{.host = *host, .port = reached.port}.to_string();
}

}  // namespace

std::string script_string(std::string_view octets) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "\"";
  for (const char octet : octets) {
    if (stands_for_itself(octet)) {
      text += octet;
      continue;
    }
    const auto value = static_cast<unsigned char>(octet);
    text.append("\\x").append(1, digits[value >> 4]).append(1, digits[value & 15]);
  }
  return text += '"';
}

PacFile::PacFile(const PacPlan& plan) : ways_(plan.ways), host_(plan.host) {
  STILE_ASSERT(!ways_.empty());
  rest_ = ";\nvar names = [";
  for (const HostName& name : plan.names) {
    rest_.append(&name == plan.names.data() ? "" : ", ").append(script_string(name.text()));
  }
  rest_ += "];\nvar networks = [";
  for (const Cidr& network : plan.networks) {
    rest_.append(&network == plan.networks.data() ? "" : ", ").append("[");
    rest_.append(script_string(network.base.to_string())).append(", ").append(std::to_string(network.length)) += ']';
  }
  rest_.append("];\n").append(function);
}

std::string PacFile::text(const PacVisit& visit) const {
  const std::string place = place_of(host_, visit.reached);
  std::string ways = "HTTPS " + place;
  if (!visit.inside_tls) {
    ways.clear();
    for (const PacWay way : ways_) {
      ways.append(ways.empty() ? "" : "; ").append(word(way)).append(" ").append(place);
    }
  }
  return std::string(opening).append(script_string(ways)).append(rest_);
}

// No page may run it as a script of its own and so read it: nosniff, because a script's type is another.
std::string PacFile::response(const PacVisit& visit, bool to_head_request, bool close) const {
  const std::string body = text(visit);
  std::string octets = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ns-proxy-autoconfig\r\nContent-Length: " +
                       std::to_string(body.size()) +
                       "\r\nCache-Control: private, max-age=" + std::to_string(limits::pac_max_age.count()) +
                       "\r\nX-Content-Type-Options: nosniff\r\n";
  if (close) octets += "Connection: close\r\n";
  octets += "\r\n";
  return to_head_request ? octets : octets + body;
}

}  // namespace stile::wire
