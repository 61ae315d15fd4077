// The users file on arbitrary octets: it is taken whole or its faults have places, no fault shows what the file says
// about a password, and what changes one user leaves all others as they are.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "auth/users.h"
#include "auth/users_file.h"
#include "base/assert.h"

namespace {

using namespace stile::auth;

bool same_but(const Users& before, const Users& after, std::string_view name) {
  return std::ranges::all_of(before.records(), [&](const UserRecord& record) {
    const UserRecord* const other = after.find(record.name);
    if (record.name == name) return true;
    return other != nullptr && other->hash == record.hash && other->groups == record.groups;
  });
}

void check_edits(const std::string& text, const Users& users) {
  if (users.records().empty()) return;
  const std::string name = users.records().front().name;
  const auto removed = remove_user(text, name);
  STILE_ASSERT(removed);
  const auto without = Users::parse(*removed);
  STILE_ASSERT(without && without->find(name) == nullptr && same_but(users, *without, name));
  const auto changed = change_hash(text, name, users.decoy());
  STILE_ASSERT(changed);
  const auto with = Users::parse(*changed);
  STILE_ASSERT(with && with->find(name) != nullptr && same_but(users, *with, name));
  STILE_ASSERT(!add_user(text, *users.find(name)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 8192) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto users = Users::parse(text);
  if (users) {
    check_edits(text, *users);
    return 0;
  }
  STILE_ASSERT(!users.error().empty());
  for (const UsersError& error : users.error()) STILE_ASSERT(error.line > 0 && error.column > 0);
  return 0;
}
