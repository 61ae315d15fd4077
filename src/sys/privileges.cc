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

using CapabilityData = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

Result<void> read_capabilities(CapabilityData& held) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  if (::syscall(SYS_capget, &header, held.data()) != 0) return last_error();
  return {};
}

}  // namespace

bool is_root() noexcept {
  return ::geteuid() == 0;
}

std::uint32_t own_user() noexcept {
  return ::geteuid();
}

// Another user begins without capabilities, unless they are kept, and then makes use of none.
Result<void> become(const Account& account, Capabilities keep) noexcept {
  if (keep != 0 && ::prctl(PR_SET_KEEPCAPS, 1UL) != 0) return last_error();
  if (::setgroups(account.groups.size(), account.groups.data()) != 0) return last_error();
  if (::setresgid(account.group, account.group, account.group) != 0) return last_error();
  if (::setresuid(account.user, account.user, account.user) != 0) return last_error();
  if (keep != 0 && account.user != 0) {
    (void)::prctl(PR_SET_KEEPCAPS, 0UL);
    if (const auto kept = drop_capabilities(keep); !kept) return kept;
  }
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

Result<void> drop_capabilities(Capabilities keep) noexcept {
  CapabilityData held{};
  if (const auto read = read_capabilities(held); !read) return read;
  CapabilityData left{};
  bool changes = false;
  for (std::size_t i = 0; i < held.size(); ++i) {
    const auto kept = static_cast<std::uint32_t>(keep >> (32 * i)) & held[i].permitted;
    left[i].effective = left[i].permitted = kept;
    // What is inherited from a service manager by way of its ambient set means nothing without that.
    const bool inherits_more = (held[i].inheritable & ~kept) != 0;
    changes = changes || held[i].effective != kept || held[i].permitted != kept || inherits_more;
  }
  // Under a service manager's filter the call itself may be forbidden, where there is nothing left to give up.
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  if (changes && ::syscall(SYS_capset, &header, left.data()) != 0) return last_error();
  return {};
}

bool has_capabilities(Capabilities wanted) noexcept {
  CapabilityData held{};
  if (!read_capabilities(held)) return false;
  for (std::size_t i = 0; i < held.size(); ++i) {
    const auto part = static_cast<std::uint32_t>(wanted >> (32 * i));
    if ((held[i].effective & part) != part) return false;
  }
  return true;
}

Result<void> forbid_new_privileges() noexcept {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0) return last_error();
  return {};
}

}  // namespace stile::sys
