// The one maker of authenticated identities (security reference, P4): each provider is a function of it.
// Pure; any thread. Tested in authenticator_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/users.h"
#include "base/auth_methods.h"
#include "base/identity.h"

namespace stile::auth {

class Authenticator {
 public:
  /// The user at the other end of a Unix-domain socket, for whom the kernel vouches (SO_PEERCRED). Rules name it
  /// `uid:1000`; no password file can hold such a name, since a colon ends a name there.
  [[nodiscard]] static Identity local_user(std::uint32_t uid);
  /// Who has shown a certificate of a CA that the listener trusts, which names it so. Rules name it `cert:NAME`, and
  /// again no password file can hold that.
  [[nodiscard]] static Identity certificate_user(const std::string& name);
  /// Who comes from a network that the configuration gives to this user; `groups` are those that it has elsewhere.
  [[nodiscard]] static Identity network_user(const std::string& name, std::vector<std::string> groups);
  /// Somebody whose password was verified against this record.
  [[nodiscard]] static Identity password_user(const UserRecord& record);

  /// Whom PAM or a program of the operator's accepted, as it named it. Nobody where no rule could name it, or where the
  /// name is another provider's (`uid:1000`) or a word of the policy language; groups that no rule could name are left
  /// out.
  [[nodiscard]] static std::optional<Identity> accepted_user(AuthMethod method, std::string_view user,
                                                             std::span<const std::string_view> groups);

  /// Who somebody is when the users have changed: with the groups that hold from then on, or nobody where the user is
  /// gone, locked out, expired (`day` counts from 1970), or has another password. Who came by a Kerberos ticket has the
  /// groups of a user of that name, whatever the password, and is nobody where that one has expired. All others stay
  /// who they are.
  [[nodiscard]] static std::optional<Identity> renew(const Identity& identity, const Users& users, std::int64_t day);

 private:
  [[nodiscard]] static std::optional<Identity> with_groups_of(const UserRecord* record, const Identity& identity,
                                                              std::int64_t day);
};

}  // namespace stile::auth
