// One listener, as configured: where it stands, what it admits, and how Unix-domain ones are reached. A value; pure.
// Tested in config_test.cc.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/auth_methods.h"
#include "wire/pac.h"

namespace stile::config {

/// What a listener's clients may speak, told apart by the first octet.
struct Protocols {
  bool socks5 = true;
  bool socks4 = true;
  bool http = true;

  friend bool operator==(const Protocols&, const Protocols&) = default;
};

/// A socket in the file system, and who may connect to it.
struct SocketFile {
  std::string path;  // absolute, at most socket_path_octets_max; empty: the listener is no Unix-domain one
  std::uint32_t mode = 0660;
  std::string owner;  // a name in /etc/passwd or a number; empty: as whom the server runs
  std::string group;  // in /etc/group, likewise

  friend bool operator==(const SocketFile&, const SocketFile&) = default;
};

/// What sockaddr_un holds besides its NUL (unix(7)).
inline constexpr std::size_t socket_path_octets_max = 107;

/// The files of a listener that speaks TLS, in PEM; paths as the configuration names them.
struct Tls {
  std::string certificate;  // empty: it speaks none
  std::string key;
  std::string client_ca;  // empty: clients need no certificate
  std::string crl;
  bool optional = false;  // plaintext is admitted as well

  [[nodiscard]] bool is_on() const noexcept { return !certificate.empty(); }
  friend auto operator<=>(const Tls&, const Tls&) = default;
};

/// The path behind "unix:".
[[nodiscard]] inline std::string socket_path(std::string_view where) {
  constexpr std::string_view prefix = "unix:";
  return std::string(where.starts_with(prefix) ? where.substr(prefix.size()) : where);
}

/// Where a listener stands: an address with a port, or a path.
struct ListenPlace {
  Endpoint address;  // port 0: the kernel chooses one
  std::string path;

  friend bool operator==(const ListenPlace&, const ListenPlace&) = default;
};

struct Listener {
  Endpoint address;       // where file.path is empty; port 0: the kernel chooses one
  bool optional = false;  // of the zero-configuration pair: a missing ::1 is a warning
  Protocols protocols;
  AuthMethods auth;                       // empty: the file does not say (config::auth_of)
  std::vector<Cidr> proxy_protocol_from;  // these sources begin with a PROXY header, all others must not
  SocketFile file;
  Tls tls;
  bool fast_open = false;         // takes data that comes with a SYN
  std::vector<wire::PacWay> pac;  // what /proxy.pac offers, in this order; empty: there is no such file

  [[nodiscard]] bool is_unix() const noexcept { return !file.path.empty(); }
  /// As `address` has it in the file: "127.0.0.1:1080" or "unix:/run/stile.sock".
  [[nodiscard]] std::string where() const { return is_unix() ? "unix:" + file.path : address.to_string(); }
};

/// Where DNS is answered.
struct DnsListener {
  Endpoint address;  // its port is never 0

  friend bool operator==(const DnsListener&, const DnsListener&) = default;
};

}  // namespace stile::config
