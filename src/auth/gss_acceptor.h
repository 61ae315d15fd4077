// Accepts security contexts from GSSAPI tokens (RFC 1961 section 3, RFC 2743), where the keys of the service are: in a
// process of its own beneath the helper (token_process.h). A context that stands is handed over as octets, with the
// name of who initiated it, and is no longer here. Clients must ask for mutual authentication; what they delegate is
// thrown away. Refuses: contexts without integrity; names that no rule could name. A build without GSSAPI has it as
// well, and accepts nobody (gss_acceptor_absent.cc). Threading: one thread a process. Tested in
// tests/e2e/gssapi_test.py, its names in gss_user_test.cc.
#pragma once

#include <string>
#include <vector>

namespace stile::auth {

struct GssPlan {
  std::string keytab;               // a file
  std::string service;              // whose keys count, of any host; empty: every key there
  std::vector<std::string> realms;  // whose users go by their names alone
};

/// Records of tokens in, of progress out, until the other end of the socket is closed. The exit code.
[[nodiscard]] int run_gss_acceptor(int socket, const GssPlan& plan);

/// Whom a principal is taken for: alice@REALM is alice where the realm is one of `realms`, and she has no instance.
[[nodiscard]] std::string user_of_principal(const std::string& principal, const std::vector<std::string>& realms);

}  // namespace stile::auth
