// Users and groups of this host, as /etc/passwd and /etc/group have them. Refuses: other directories (LDAP, SSSD),
// since looking there runs foreign code and blocks. Threading: one thread at a time, before others look too: glibc
// reads both files into memory of its own. Tested in account_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stile::sys {

/// The number of an account: a number as it is, a name as the file has it.
[[nodiscard]] std::optional<std::uint32_t> user_id(const std::string& name_or_number);
[[nodiscard]] std::optional<std::uint32_t> group_id(const std::string& name_or_number);

struct Account {
  std::string name;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::vector<std::uint32_t> groups;  // the first is `group`
};

[[nodiscard]] std::optional<Account> account_named(const std::string& name);

}  // namespace stile::sys
