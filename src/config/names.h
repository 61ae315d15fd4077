// Who is asked for names, and which addresses the operator gives some of them. Values; pure. Tested in names_test.cc.
#pragma once

#include <map>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/time.h"

namespace stile::config {

/// One [[resolver]].
struct Resolver {
  std::vector<HostName> suffixes;  // none: every name that no other table has
  std::vector<Endpoint> servers;   // in the order to ask
  bool tcp = false;                // else datagrams, and TCP for an answer that does not fit
  Duration timeout = limits::dns_try;
};

struct Names {
  std::map<HostName, std::vector<Address>> hosts;  // win over DNS and /etc/hosts; none of them without an address
};

}  // namespace stile::config
