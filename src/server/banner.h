// What a server that has just started says of itself, beyond where it listens. Pure. Tested in banner_test.cc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/config.h"

namespace stile::server {

/// "SOCKS5, SOCKS4; PROXY header from 10.0.0.0/24 required"
[[nodiscard]] std::string admitted(const config::Config& config, const config::Listener& listener);

/// "clients on this host, without authentication"; "users with a password, as 3 rules of the policy say"
[[nodiscard]] std::string who_may(const config::Config& config, const config::Listener& listener);

/// What is told to others than clients on this host, one line each; none where every default holds.
[[nodiscard]] std::vector<std::string> outside_facts(const config::Config& config);

/// What cannot work, and what to do about it.
struct Shortcoming {
  std::string what;
  std::string why;
  std::string cure;
};
/// This host, as far as connections leave it.
struct EgressFacts {
  std::vector<Cidr> addresses;  // what the kernel takes for this host, loopback excepted; empty: unknown
  std::function<bool(const InterfaceName&)> has_interface;
  bool may_mark = false;
  std::string mark_cure;  // where it may not
};
/// Rules and upstreams whose `egress` or `mark` cannot be had here.
[[nodiscard]] std::vector<Shortcoming> missing_egress(const config::Config& config, const EgressFacts& host);
/// Some upstream is met with a Kerberos ticket.
[[nodiscard]] bool shows_tickets(const config::Config& config) noexcept;
/// Some rule or upstream has a `mark`.
[[nodiscard]] bool marks(const config::Config& config) noexcept;

/// A command that uses the listener; `where` is its endpoint, if it has one.
[[nodiscard]] std::string trial(const config::Config& config, const config::Listener& listener, const Endpoint& where);

}  // namespace stile::server
