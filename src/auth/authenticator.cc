#include "auth/authenticator.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"

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

Identity Authenticator::network_user(const std::string& name, std::vector<std::string> groups) {
  Identity identity(name, std::move(groups));
  identity.method_ = "network";
  return identity;
}

Identity Authenticator::password_user(const UserRecord& record) {
  Identity identity(record.name, record.groups);
  identity.method_ = "password";
  identity.vouched_by_ = record.state;
  return identity;
}

std::optional<Identity> Authenticator::accepted_user(AuthMethod method, std::string_view user,
                                                     std::span<const std::string_view> groups) {
  if (!judge_user_name(user)) return std::nullopt;
  std::vector<std::string> usable;
  for (const std::string_view group : groups) {
    const bool twice = std::ranges::find(usable, group) != usable.end();
    if (judge_group_name(group) && !twice && usable.size() < limits::user_groups_max) usable.emplace_back(group);
  }
  Identity identity(std::string(user), std::move(usable));
  identity.method_ = name(method);
  return identity;
}

// A ticket says who somebody is, and nothing of groups.
std::optional<Identity> Authenticator::with_groups_of(const UserRecord* record, const Identity& identity,
                                                      std::int64_t day) {
  if (record != nullptr && record->expires && day >= *record->expires) return std::nullopt;
  Identity renewed = identity;
  renewed.groups_ = record == nullptr ? std::vector<std::string>() : record->groups;
  return renewed;
}

std::optional<Identity> Authenticator::renew(const Identity& identity, const Users& users, std::int64_t day) {
  const UserRecord* const record = users.find(identity.user());
  if (identity.method() == name(AuthMethod::gssapi)) return with_groups_of(record, identity, day);
  if (identity.vouched_by() == 0) return identity;
  const bool same = record != nullptr && record->may_log_in(day) && record->state == identity.vouched_by();
  return same ? std::optional(password_user(*record)) : std::nullopt;
}

}  // namespace stile::auth
