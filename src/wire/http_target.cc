#include "wire/http_target.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/number.h"
#include "wire/http_fields.h"

namespace stile::wire {
namespace {

bool is_digit(char octet) noexcept {
  return octet >= '0' && octet <= '9';
}

struct Authority {
  std::string_view host;
  std::optional<std::string_view> port;  // what stands behind the colon; absent without one
};

/// RFC 3986 section 3.2 without userinfo, which RFC 9110 section 4.2.4 tells recipients to treat as an error: it serves
/// to hide the host.
std::optional<Authority> split_authority(std::string_view text) noexcept {
  if (text.find('@') != std::string_view::npos) return std::nullopt;
  std::size_t host_end = 0;
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos) return std::nullopt;
    host_end = bracket + 1;
  } else {
    host_end = std::min(text.find(':'), text.size());
  }
  if (host_end == 0) return std::nullopt;
  Authority authority{.host = text.substr(0, host_end), .port = {}};
  if (host_end == text.size()) return authority;
  if (text[host_end] != ':') return std::nullopt;
  authority.port = text.substr(host_end + 1);
  return authority;
}

/// RFC 3986 section 3.2.3: digits; longer than five would be no port.
std::expected<std::uint16_t, Reason> parse_port(std::string_view text) noexcept {
  const auto port = whole_number<std::uint16_t>(text);
  if (!port || text.size() > 5) return std::unexpected(Reason::http_target);
  if (*port == 0) return std::unexpected(Reason::request_port);
  return *port;
}

/// `port_default` of 0: the port must be said.
std::expected<AddressField, Reason> parse_authority(std::string_view text, std::uint16_t port_default) {
  const auto authority = split_authority(text);
  if (!authority) return std::unexpected(Reason::http_target);
  AddressField destination;
  destination.type = AddressType::name;
  destination.received_name = authority->host;
  destination.host = canonical_host(authority->host);
  destination.port = port_default;
  if (authority->port && !authority->port->empty()) {
    const auto port = parse_port(*authority->port);
    if (!port) return std::unexpected(port.error());
    destination.port = *port;
  }
  if (destination.port == 0) return std::unexpected(Reason::http_target);
  return destination;
}

/// RFC 3986 section 3.1.
bool is_scheme(std::string_view text) noexcept {
  const auto is_letter = [](char octet) { return (octet | 0x20) >= 'a' && (octet | 0x20) <= 'z'; };
  return !text.empty() && is_letter(text.front()) && std::ranges::all_of(text, [&](char octet) {
    return is_letter(octet) || is_digit(octet) || octet == '+' || octet == '-' || octet == '.';
  });
}

/// RFC 9112 section 3.2.2. A fragment is not part of a request target.
std::expected<HttpRequestLine, Reason> parse_absolute_form(HttpRequestLine line) {
  const std::size_t colon = line.target.find("://");
  if (colon == std::string_view::npos || !is_scheme(line.target.substr(0, colon)) ||
      line.target.find('#') != std::string_view::npos) {
    return std::unexpected(Reason::http_target);
  }
  if (!equals_ignoring_case(line.target.substr(0, colon), "http")) return std::unexpected(Reason::http_scheme);
  const std::string_view rest = line.target.substr(colon + 3);
  const std::size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  auto destination = parse_authority(rest.substr(0, authority_end), 80);
  if (!destination) return std::unexpected(destination.error());
  line.destination = *std::move(destination);
  const std::string_view path = rest.substr(authority_end);
  // RFC 9112 section 3.2.4: "If a proxy receives an OPTIONS request with an absolute-form of request-target in which
  // the URI has an empty path and no query component, then the last proxy … MUST send a request-target of "*""
  if (path.empty()) {
    line.path = line.method == "OPTIONS" ? "*" : "/";
  } else {
    line.path = path.starts_with('/') ? std::string(path) : std::string("/").append(path);
  }
  return line;
}

bool is_target_octet(char octet) noexcept {
  const auto value = static_cast<unsigned char>(octet);
  return value > 0x20 && value != 0x7F;
}

}  // namespace

std::expected<std::uint8_t, Reason> parse_http_version(std::string_view text) noexcept {
  if (text.size() != 8 || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' || !is_digit(text[7])) {
    return std::unexpected(Reason::http_syntax);
  }
  if (text[5] != '1') return std::unexpected(Reason::http_version);
  // RFC 9110 section 2.5: a higher minor version is read as the highest one known.
  return text[7] == '0' ? std::uint8_t{0} : std::uint8_t{1};
}

std::expected<HttpRequestLine, Reason> parse_http_request_line(std::string_view text, HttpOwn own) {
  const std::size_t first = text.find(' ');
  const std::size_t last = text.rfind(' ');
  if (first == last) return std::unexpected(Reason::http_syntax);  // no space, or one
  HttpRequestLine line;
  line.method = text.substr(0, first);
  line.target = text.substr(first + 1, last - first - 1);
  if (!is_token(line.method) || line.target.empty() || !std::ranges::all_of(line.target, is_target_octet)) {
    return std::unexpected(Reason::http_syntax);
  }
  const auto minor = parse_http_version(text.substr(last + 1));
  if (!minor) return std::unexpected(minor.error());
  line.minor = *minor;
  line.own = own == HttpOwn::pac && line.target == pac_path && (line.method == "GET" || line.method == "HEAD");
  if (line.own) {
    line.path = line.target;
    return line;
  }
  if (line.method != "CONNECT") return parse_absolute_form(std::move(line));
  auto destination = parse_authority(line.target, 0);
  if (!destination) return std::unexpected(destination.error());
  line.destination = *std::move(destination);
  return line;
}

bool is_host_value(std::string_view value) noexcept {
  if (value.empty()) return true;
  const auto authority = split_authority(value);
  if (!authority) return false;
  const bool digits = !authority->port || std::ranges::all_of(*authority->port, is_digit);
  return digits && value.find_first_of(" \t,/?#\\\"<>^`{|}") == std::string_view::npos;
}

}  // namespace stile::wire
