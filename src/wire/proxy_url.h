// The address of a proxy as people write it, on a command line or in ALL_PROXY:
//
//   SCHEME "://" [ USER [ ":" PASSWORD ] "@" ] HOST [ ":" PORT ] [ "/" ]
//
//   socks4    SOCKS4, names are resolved here        socks4a   SOCKS4a, names are resolved by the proxy
//   socks5    SOCKS5, names are resolved here        socks5h   SOCKS5, names are resolved by the proxy
//   http      HTTP CONNECT, names are resolved by the proxy
//   https     the same inside TLS                  SOCKS+tls  each of the four above inside TLS
//   proxy-protocol   no conversation: a PROXY header, version 2, names the target, and what follows is meant for it
//
// USER and PASSWORD are percent-decoded, an IPv6 HOST stands in brackets, PORT is 1080 where it is left out, with
// https 443, with proxy-protocol 80.
// Refuses: to guess. An unknown scheme, or none, is an error and never another protocol. No error text and no to_string
// holds a user or password.
// Threading: values and pure functions. Tested in proxy_url_test.cc; fuzzed in proxy_url_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"

namespace stile::wire {

/// What is spoken with a proxy.
enum class ProxyProtocol : std::uint8_t { socks4, socks5, http, proxy_protocol };

/// What it is spoken inside of.
enum class ProxyProtection : std::uint8_t { none, tls, gssapi };

inline constexpr std::uint16_t proxy_port_default = 1080;
inline constexpr std::uint16_t https_proxy_port_default = 443;
inline constexpr std::uint16_t http_port_default = 80;

struct ProxyUrl {
  ProxyProtocol protocol = ProxyProtocol::socks5;
  ProxyProtection protection = ProxyProtection::none;
  bool resolves_names = true;  // the proxy does; a name is then never resolved here instead
  Target server;
  std::optional<std::string>
      user;  // SOCKS4: 1 to 255 octets without NUL; SOCKS5: 1 to 255 octets; HTTP: no colon either
  std::optional<std::string> password;  // SOCKS5 and HTTP with a user only: 1 to 255 octets

  /// Without user and password: for messages and logs.
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const ProxyUrl&, const ProxyUrl&) = default;
};

/// Where a text stops being a proxy's address, why, and what to write instead.
struct ProxyUrlError {
  std::size_t column = 1;  // of the first octet that is wrong, counted from 1; one behind the end where more is missing
  std::string why;
  std::string cure;

  friend bool operator==(const ProxyUrlError&, const ProxyUrlError&) = default;
};

/// `text` is octets of any length and content.
[[nodiscard]] std::expected<ProxyUrl, ProxyUrlError> parse_proxy_url(std::string_view text);

}  // namespace stile::wire
