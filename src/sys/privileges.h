// Rights that a server gives up for good once it has everything that needs them. Threading: each of them for the
// calling thread and those that it starts; `become` for the whole process. Tested in privileges_test.cc.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "sys/account.h"

namespace stile::sys {

[[nodiscard]] bool is_root() noexcept;
/// As whom this process acts.
[[nodiscard]] std::uint32_t own_user() noexcept;

/// The groups, then the user; nothing of the old one stays. Fails where this process may not, and where it could go
/// back.
[[nodiscard]] Result<void> become(const Account& account) noexcept;

/// None can come back by running a program; before `become`, which takes away what this needs.
[[nodiscard]] Result<void> forbid_capabilities() noexcept;
/// None is left.
[[nodiscard]] Result<void> drop_capabilities() noexcept;

/// No program that is executed from now on has more rights than this process.
[[nodiscard]] Result<void> forbid_new_privileges() noexcept;

}  // namespace stile::sys
