#include "sys/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sys/errno_table.h"

namespace stile::sys {
namespace {

std::unexpected<Error> last_error() noexcept {
  return std::unexpected(make_error(errno));
}

bool is_wholly(const Account& account) noexcept {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  if (::getresuid(&real, &effective, &saved) != 0) return false;
  if (real != account.user || effective != account.user || saved != account.user) return false;
  gid_t groups[3] = {};
  if (::getresgid(&groups[0], &groups[1], &groups[2]) != 0) return false;
  return groups[0] == account.group && groups[1] == account.group && groups[2] == account.group;
}

}  // namespace

bool is_root() noexcept {
  return ::geteuid() == 0;
}

std::uint32_t own_user() noexcept {
  return ::geteuid();
}

Result<void> become(const Account& account) noexcept {
  if (::setgroups(account.groups.size(), account.groups.data()) != 0) return last_error();
  if (::setresgid(account.group, account.group, account.group) != 0) return last_error();
  if (::setresuid(account.user, account.user, account.user) != 0) return last_error();
  const bool back = account.user != 0 && ::setresuid(static_cast<uid_t>(-1), 0, static_cast<uid_t>(-1)) == 0;
  if (back || !is_wholly(account)) return std::unexpected(Error{.kind = ErrorKind::not_permitted, .os_code = EPERM});
  return {};
}

// Who has no capability has nothing to take out of the bounding set either.
Result<void> forbid_capabilities() noexcept {
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EPERM) return last_error();
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL) != 0) return last_error();
  return {};
}

Result<void> drop_capabilities() noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> held{};
  if (::syscall(SYS_capget, &header, held.data()) != 0) return last_error();
  bool any = false;
  for (const auto& one : held) any = any || one.effective != 0 || one.permitted != 0 || one.inheritable != 0;
  // Under a service manager's filter the call itself may be forbidden, where there is nothing left to give up.
  if (any && ::syscall(SYS_capset, &header, none.data()) != 0) return last_error();
  return {};
}

Result<void> forbid_new_privileges() noexcept {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0) return last_error();
  return {};
}

}  // namespace stile::sys
