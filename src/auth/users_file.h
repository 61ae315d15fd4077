// The users file on disk: read by a server, changed by `stile user`. Changing keeps every line that is not about the
// user in question, comments among them. Pure but for load_users and edit_users_file, which block; for any thread.
// Refuses: files that others may write (sys/trusted_file.h). Tested in users_file_test.cc.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/users.h"

namespace stile::auth {

/// Line 0: the file as a whole is at fault.
using UsersErrors = std::vector<UsersError>;

[[nodiscard]] std::expected<Users, UsersErrors> load_users(const std::string& path);

/// A file's text with one change; a fault says what cannot be. The text is one that Users::parse takes.
using UsersEdit = std::function<std::expected<std::string, std::string>(const std::string& text)>;

[[nodiscard]] std::expected<std::string, std::string> add_user(const std::string& text, const UserRecord& record);
/// A line of /etc/shadow stays one.
[[nodiscard]] std::expected<std::string, std::string> change_hash(const std::string& text, std::string_view name,
                                                                  std::string_view hash);
[[nodiscard]] std::expected<std::string, std::string> remove_user(const std::string& text, std::string_view name);

/// What is to be done where there is no file.
enum class Missing : std::uint8_t { is_a_fault, is_empty };

/// Whether the edit could be made of the file as it is.
[[nodiscard]] std::expected<void, UsersErrors> dry_edit(const std::string& path, Missing missing,
                                                        const UsersEdit& edit);

/// Reads, changes and replaces the file at once, while no other program does so. A new one has mode 0640.
[[nodiscard]] std::expected<void, UsersErrors> edit_users_file(const std::string& path, Missing missing,
                                                               const UsersEdit& edit);

}  // namespace stile::auth
