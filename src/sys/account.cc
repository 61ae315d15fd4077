#include "sys/account.h"

#include <grp.h>
#include <pwd.h>

#include <cstdio>
#include <memory>

#include "base/number.h"

namespace stile::sys {
namespace {

constexpr const char* users_file = "/etc/passwd";
constexpr const char* groups_file = "/etc/group";

/// Hands each record of the file to `take` until that answers true; false where none did.
template <class Next, class Take>
bool any_record(const char* file, Next next, Take take) {
  const std::unique_ptr<FILE, int (*)(FILE*)> stream(std::fopen(file, "re"),
                                                     [](FILE* open) { return std::fclose(open); });
  if (stream == nullptr) return false;
  while (const auto* const record = next(stream.get())) {
    if (take(*record)) return true;
  }
  return false;
}

}  // namespace

std::optional<std::uint32_t> user_id(const std::string& name_or_number) {
  auto number = whole_number<std::uint32_t>(name_or_number);
  if (number) return number;
  any_record(users_file, &::fgetpwent, [&](const passwd& record) {
    if (name_or_number == record.pw_name) number = record.pw_uid;
    return number.has_value();
  });
  return number;
}

std::optional<std::uint32_t> group_id(const std::string& name_or_number) {
  auto number = whole_number<std::uint32_t>(name_or_number);
  if (number) return number;
  any_record(groups_file, &::fgetgrent, [&](const group& record) {
    if (name_or_number == record.gr_name) number = record.gr_gid;
    return number.has_value();
  });
  return number;
}

std::optional<Account> account_named(const std::string& name) {
  Account account{.name = name, .user = 0, .group = 0, .groups = {}};
  const bool found = any_record(users_file, &::fgetpwent, [&](const passwd& record) {
    account.user = record.pw_uid;
    account.group = record.pw_gid;
    return name == record.pw_name;
  });
  if (!found) return std::nullopt;
  account.groups.push_back(account.group);
  any_record(groups_file, &::fgetgrent, [&](const group& record) {
    for (char** member = record.gr_mem; *member != nullptr; ++member) {
      if (name == *member && record.gr_gid != account.group) account.groups.push_back(record.gr_gid);
    }
    return false;
  });
  return account;
}

}  // namespace stile::sys
