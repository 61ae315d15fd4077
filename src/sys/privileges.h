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

/// A set of capabilities(7), each a bit by its number.
using Capabilities = std::uint64_t;
/// Marks on sockets (Linux 5.17); raw sockets come with it.
inline constexpr Capabilities cap_net_raw = 1U << 13U;
/// Packet rules and routes.
inline constexpr Capabilities cap_net_admin = 1U << 12U;

/// The groups, then the user; of the old one's rights stays `keep`, as far as it had them. Fails where this process may
/// not, and where it could go back.
[[nodiscard]] Result<void> become(const Account& account, Capabilities keep = 0) noexcept;

/// None can come back by running a program; before `become`, which takes away what this needs.
[[nodiscard]] Result<void> forbid_capabilities() noexcept;
/// None is left but those of `keep` that this process had.
[[nodiscard]] Result<void> drop_capabilities(Capabilities keep = 0) noexcept;
/// This process has all of them.
[[nodiscard]] bool has_capabilities(Capabilities wanted) noexcept;

/// No program that is executed from now on has more rights than this process.
[[nodiscard]] Result<void> forbid_new_privileges() noexcept;

}  // namespace stile::sys
