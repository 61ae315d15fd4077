// The one maker of authenticated identities (security reference, P4): each provider is a function of it.
// Pure; any thread. Tested in authenticator_test.cc.
#pragma once

#include <cstdint>

#include "base/identity.h"

namespace stile::auth {

class Authenticator {
 public:
  /// The user at the other end of a Unix-domain socket, for whom the kernel vouches (SO_PEERCRED). Rules name it
  /// `uid:1000`; no password file can hold such a name, since a colon ends a name there.
  [[nodiscard]] static Identity local_user(std::uint32_t uid);
};

}  // namespace stile::auth
