// The proxy auto-configuration file that a listener hands to browsers: a JavaScript function that says of each URL
// whether it goes by the proxy or straight to its host. It asks no DNS, and needs nothing that a browser would have to
// bring along.
//
//   FindProxyForURL(url, host)   "DIRECT", or the listener's ways in the order they are to be tried
//
// Refuses: to fall back to DIRECT where the proxy does not answer, and to say anything that the client sent: the
// address in it is the one that the connection reached, or configured, never a Host field's. It is for everybody who
// can reach the listener, and holds nothing else. Threading: a value and pure functions. Tested in pac_test.cc, and run
// in tests/e2e/pac_test.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace stile::wire {

/// What a browser may speak with the proxy.
enum class PacWay : std::uint8_t { http, socks5 };

/// What is the same for everybody.
struct PacPlan {
  std::vector<PacWay> ways;     // in order of preference, none twice, at least one
  std::optional<Host> host;     // what browsers know the proxy by, in the place of the address that they reached
  std::vector<HostName> names;  // these and what is below them go DIRECT
  std::vector<Cidr> networks;   // addresses in them, too, where a URL has one
};

/// How the client that asks came.
struct PacVisit {
  Endpoint reached;         // the address of this proxy
  bool inside_tls = false;  // then the proxy is reached inside TLS by everything the file says: HTTPS alone
};

class PacFile {
 public:
  explicit PacFile(const PacPlan& plan);

  /// The whole response with its body, which HEAD does without. `close`: the connection ends behind it.
  [[nodiscard]] std::string response(const PacVisit& visit, bool to_head_request, bool close) const;
  /// The script.
  [[nodiscard]] std::string text(const PacVisit& visit) const;

 private:
  std::vector<PacWay> ways_;
  std::optional<Host> host_;
  std::string rest_;  // of the script: all but its first statement
};

/// As a JavaScript string literal of ASCII alone: each octet but letters, digits and the marks of hosts and addresses
/// is escaped, so that no script, comment or markup can begin in it.
[[nodiscard]] std::string script_string(std::string_view octets);

}  // namespace stile::wire
