#include <algorithm>

#include "auth/gss_acceptor.h"

namespace stile::auth {

// A slash divides name and instance (alice/admin is not alice); a backslash quotes what follows.
std::string user_of_principal(const std::string& principal, const std::vector<std::string>& realms) {
  const std::size_t at = principal.rfind('@');
  if (at == std::string::npos || at == 0) return principal;
  const std::string name = principal.substr(0, at);
  const bool plain = name.find_first_of("/\\@") == std::string::npos;
  const bool known = std::ranges::find(realms, principal.substr(at + 1)) != realms.end();
  return plain && known ? name : principal;
}

}  // namespace stile::auth
