// A gateway, as configured: whose packets on their way through this host are taken, and what becomes of them. A value;
// pure. Tested in gateway_test.cc.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/egress.h"

namespace stile::config {

/// Whoever comes from the network counts as this user.
struct NetworkUser {
  Cidr network;
  std::string user;

  friend bool operator==(const NetworkUser&, const NetworkUser&) = default;
};

struct Gateway {
  std::vector<InterfaceName> lan;  // packets that arrive there are taken
  std::vector<Cidr> from;          // and those of these sources
  std::vector<Cidr> except;        // but those from there and to there are forwarded as by any router
  std::vector<NetworkUser> users;  // the first network that holds a source decides; of no network: anonymous
  bool redirect = false;           // connections alone, by address translation, for kernels without tproxy
  bool applies_rules = false;      // the server puts its packet rules in force by itself

  [[nodiscard]] bool is_on() const noexcept { return !lan.empty() || !from.empty(); }
};

}  // namespace stile::config
