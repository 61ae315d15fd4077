// The one maker of authenticated identities (security reference, P4): each provider is a function of it.
// Pure; any thread. Tested in authenticator_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "auth/users.h"
#include "base/identity.h"

namespace stile::auth {

class Authenticator {
 public:
  /// The user at the other end of a Unix-domain socket, for whom the kernel vouches (SO_PEERCRED). Rules name it
  /// `uid:1000`; no password file can hold such a name, since a colon ends a name there.
  [[nodiscard]] static Identity local_user(std::uint32_t uid);
  /// Who has shown a certificate of a CA that the listener trusts, which names it so. Rules name it `cert:NAME`, and again
  /// no password file can hold that.
  [[nodiscard]] static Identity certificate_user(const std::string& name);
  /// Somebody whose password was verified against this record.
  [[nodiscard]] static Identity password_user(const UserRecord& record);

  /// Who somebody is when the users have changed: with the groups that hold from then on, or nobody where the user is
  /// gone, locked out, expired (`day` counts from 1970), or has another password. Who did not log in by a password
  /// stays who it is.
  [[nodiscard]] static std::optional<Identity> renew(const Identity& identity, const Users& users, std::int64_t day);
};

}  // namespace stile::auth
