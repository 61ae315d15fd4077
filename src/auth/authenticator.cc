#include "auth/authenticator.h"

#include <string>

namespace stile::auth {

Identity Authenticator::local_user(std::uint32_t uid) {
  Identity identity("uid:" + std::to_string(uid), {});
  identity.method_ = "unix";
  return identity;
}

Identity Authenticator::certificate_user(const std::string& name) {
  Identity identity("cert:" + name, {});
  identity.method_ = "certificate";
  return identity;
}

Identity Authenticator::password_user(const UserRecord& record) {
  Identity identity(record.name, record.groups);
  identity.method_ = "password";
  identity.vouched_by_ = record.state;
  return identity;
}

std::optional<Identity> Authenticator::renew(const Identity& identity, const Users& users, std::int64_t day) {
  if (identity.vouched_by() == 0) return identity;
  const UserRecord* const record = users.find(identity.user());
  const bool same = record != nullptr && record->may_log_in(day) && record->state == identity.vouched_by();
  return same ? std::optional(password_user(*record)) : std::nullopt;
}

}  // namespace stile::auth
