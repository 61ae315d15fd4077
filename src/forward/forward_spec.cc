#include "forward/forward_spec.h"

#include <optional>

#include "base/number.h"
#include "config/keys.h"

namespace stile::forward {
namespace {

enum class Kind : std::uint8_t { unsaid, tcp, udp };

constexpr std::string_view unix_prefix = "unix:";
constexpr std::string_view usual = "write 8080=www.example:80, or 127.0.0.1:5353/udp=ns.example:53";
constexpr std::string_view usual_reverse = "write 8022=127.0.0.1:22, with port 0 for the proxy's choice";

std::unexpected<SpecError> wrong(std::string_view why, std::string_view cure) {
  return std::unexpected(SpecError{std::string(why), std::string(cure)});
}

/// Takes the last part off.
Kind take_kind(std::string_view& text) noexcept {
  for (const Kind kind : {Kind::tcp, Kind::udp}) {
    const std::string_view word = kind == Kind::tcp ? "/tcp" : "/udp";
    if (!text.ends_with(word)) continue;
    text.remove_suffix(word.size());
    return kind;
  }
  return Kind::unsaid;
}

struct HostAndPort {
  std::string_view host;  // without brackets
  std::string_view port;
  bool bracketed = false;
};

/// Nothing where there is no port, or a host whose colons could be its own.
std::optional<HostAndPort> split(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  HostAndPort parts{text.substr(0, colon), text.substr(colon + 1)};
  parts.bracketed = parts.host.starts_with('[') && parts.host.ends_with(']');
  if (parts.bracketed) parts.host = parts.host.substr(1, parts.host.size() - 2);
  if (parts.host.empty() || (!parts.bracketed && parts.host.contains(':'))) return std::nullopt;
  return parts;
}

std::expected<Target, SpecError> parse_target(std::string_view text, std::string_view cure) {
  const auto parts = split(text);
  if (!parts) return wrong("the target is not HOST:PORT, an IPv6 address in brackets", cure);
  const auto port = whole_number<std::uint16_t>(parts->port);
  if (!port || *port == 0) return wrong("the target's port is not a number from 1 to 65535", cure);
  const auto host = canonical_host(parts->host);
  const bool six = host && std::holds_alternative<Address>(*host) && !std::get<Address>(*host).is_v4();
  if (!host || (parts->bracketed && !six && !parts->host.contains(':'))) {
    return wrong("no host may be called as the target is", "write a name in its ASCII form, or an address");
  }
  return Target{*host, *port};
}

std::expected<void, SpecError> read_place(std::string_view text, Forward& forward) {
  const bool alone = !text.contains(':');
  const auto parts = alone ? HostAndPort{"localhost", text} : split(text);
  if (!parts) return wrong("LISTEN is not PORT or ADDRESS:PORT, an IPv6 address in brackets", usual);
  const auto port = whole_number<std::uint16_t>(parts->port);
  if (!port) return wrong("LISTEN's port is not a number up to 65535", usual);
  if (parts->host == "localhost" && !parts->bracketed) {
    forward.at.push_back({Address::v4(127, 0, 0, 1), *port});
    if (*port != 0) forward.at.push_back({*Address::parse("::1"), *port});
    return {};
  }
  const auto address = Address::parse(parts->host);
  if (!address || address->is_v4() == parts->bracketed) {
    return wrong("LISTEN's host is no address of this one",
                 "write 127.0.0.1:PORT, [::1]:PORT, or 0.0.0.0:PORT for all");
  }
  forward.at.push_back({*address, *port});
  return {};
}

std::expected<void, SpecError> read_socket(std::string_view path, Forward& forward) {
  if (!config::parse_listen_place(std::string(unix_prefix) + std::string(path))) {
    return wrong("a Unix-domain socket has an absolute path of at most 107 octets", "write unix:/PATH=HOST:PORT");
  }
  if (forward.datagrams) return wrong("a Unix-domain socket carries no UDP", "listen at a port");
  forward.path = path;
  return {};
}

}  // namespace

std::string Forward::place() const {
  return at.empty() ? std::string(unix_prefix) + path : at.front().to_string();
}

std::expected<Forward, SpecError> parse_forward(std::string_view text) {
  const std::size_t sign = text.rfind('=');  // a path may hold others, a target none
  if (sign == std::string_view::npos) return wrong("there is no '='", usual);
  std::string_view listen = text.substr(0, sign);
  std::string_view target = text.substr(sign + 1);
  const bool is_socket = listen.starts_with(unix_prefix);
  const Kind here = is_socket ? Kind::unsaid : take_kind(listen);
  const Kind there = take_kind(target);
  if (here != Kind::unsaid && there != Kind::unsaid && here != there) {
    return wrong("TCP does not become UDP, nor the other way round", "say /udp at both sides, or at one");
  }
  Forward forward{.datagrams = here == Kind::udp || there == Kind::udp};
  const auto read = is_socket ? read_socket(listen.substr(unix_prefix.size()), forward) : read_place(listen, forward);
  if (!read) return std::unexpected(read.error());
  auto parsed = parse_target(target, usual);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  forward.target = *std::move(parsed);
  return forward;
}

std::expected<Reverse, SpecError> parse_reverse(std::string_view text) {
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos) return wrong("there is no '='", usual_reverse);
  const auto port = whole_number<std::uint16_t>(text.substr(0, sign));
  if (!port) return wrong("the proxy's port is not a number up to 65535", usual_reverse);
  std::string_view target = text.substr(sign + 1);
  if (take_kind(target) == Kind::udp) return wrong("BIND carries no UDP", usual_reverse);
  const std::string own = "localhost:" + std::string(target);
  auto parsed = parse_target(target.contains(':') ? target : std::string_view(own), usual_reverse);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  return Reverse{*port, *std::move(parsed)};
}

}  // namespace stile::forward
