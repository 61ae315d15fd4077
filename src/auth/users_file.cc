#include "auth/users_file.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "base/nearest.h"
#include "sys/errno_table.h"
#include "sys/file.h"
#include "sys/replace_file.h"
#include "sys/trusted_file.h"

namespace stile::auth {
namespace {

constexpr unsigned users_file_mode = 0640;

std::unexpected<UsersErrors> whole_file(std::string message) {
  return std::unexpected(UsersErrors{{0, 0, std::move(message)}});
}

std::expected<std::string, UsersErrors> read_text(const std::string& path) {
  auto text = sys::read_trusted_file(path, limits::users_file_octets_max);
  if (text) return std::move(*text);
  const sys::FileRefusal& refusal = text.error();
  return whole_file("cannot read " + path + ": " + refusal.why +
                    (refusal.cure.empty() ? "" : " (" + refusal.cure + ")"));
}

struct Line {
  std::size_t begin = 0;
  std::size_t end = 0;   // of its text
  std::size_t next = 0;  // behind its line end
};

std::optional<Line> line_of(const std::string& text, std::string_view name) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::size_t next = std::min(end + 1, text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (!is_blank_or_comment(line) && line.substr(0, line.find(':')) == name) return Line{begin, end, next};
    begin = next;
  }
  return std::nullopt;
}

// "there is no user 'alise' (did you mean 'alice'?)"
std::unexpected<std::string> unknown(const std::string& text, std::string_view name) {
  std::string message = "there is no user '" + std::string(name) + "'";
  if (const auto users = Users::parse(text)) {
    std::vector<std::string_view> names;
    for (const UserRecord& record : users->records()) names.push_back(record.name);
    if (const auto near = nearest(name, names)) message += " (did you mean '" + std::string(*near) + "'?)";
  }
  return std::unexpected(std::move(message));
}

}  // namespace

std::expected<Users, UsersErrors> load_users(const std::string& path) {
  const auto text = read_text(path);
  if (!text) return std::unexpected(text.error());
  return Users::parse(*text);
}

std::expected<std::string, std::string> add_user(const std::string& text, const UserRecord& record) {
  if (line_of(text, record.name)) {
    return std::unexpected("the user '" + record.name + "' is there already (stile user passwd sets a password anew)");
  }
  std::string changed = text;
  if (!changed.empty() && !changed.ends_with('\n')) changed += '\n';
  changed.append(record.name).append(":").append(record.hash).append(":");
  for (std::size_t i = 0; i < record.groups.size(); ++i) changed.append(i == 0 ? "" : ",").append(record.groups[i]);
  return changed + '\n';
}

std::expected<std::string, std::string> change_hash(const std::string& text, std::string_view name,
                                                    std::string_view hash) {
  const auto line = line_of(text, name);
  if (!line) return unknown(text, name);
  const std::size_t begin = line->begin + name.size() + 1;
  const std::size_t end = std::min(text.find(':', begin), line->end);
  return text.substr(0, begin).append(hash).append(text, end);
}

std::expected<std::string, std::string> remove_user(const std::string& text, std::string_view name) {
  const auto line = line_of(text, name);
  if (!line) return unknown(text, name);
  return text.substr(0, line->begin).append(text, line->next);
}

namespace {

std::expected<std::string, UsersErrors> edited(const std::string& path, Missing missing, const UsersEdit& edit) {
  std::string text;
  const auto stamp = sys::file_stamp(path);
  const bool absent = !stamp && stamp.error().kind == ErrorKind::not_found;
  if (!absent || missing == Missing::is_a_fault) {
    auto read = read_text(path);
    if (!read) return std::unexpected(std::move(read.error()));
    text = std::move(*read);
  }
  if (const auto users = Users::parse(text); !users) return std::unexpected(users.error());
  auto changed = edit(text);
  if (!changed) return whole_file(changed.error());
  return std::move(*changed);
}

}  // namespace

std::expected<void, UsersErrors> dry_edit(const std::string& path, Missing missing, const UsersEdit& edit) {
  const auto changed = edited(path, missing, edit);
  return changed ? std::expected<void, UsersErrors>() : std::unexpected(changed.error());
}

std::expected<void, UsersErrors> edit_users_file(const std::string& path, Missing missing, const UsersEdit& edit) {
  const auto lock = sys::FolderLock::of_file(path);
  if (!lock) return whole_file("cannot use " + path + ": " + std::string(sys::describe(lock.error())));
  const auto changed = edited(path, missing, edit);
  if (!changed) return std::unexpected(changed.error());
  if (const auto replaced = sys::replace_file(path, *changed, users_file_mode); !replaced) {
    return whole_file("cannot write " + path + ": " + std::string(sys::describe(replaced.error())));
  }
  return {};
}

}  // namespace stile::auth
