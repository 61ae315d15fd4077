#include "sys/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sys/errno_table.h"
#include "sys/unique_fd.h"

// The numbers are those of linux/landlock.h; the header of the platform's kernel ends with ABI 2.
namespace stile::sys {
namespace {

constexpr unsigned version_flag = 1;
constexpr unsigned path_beneath = 1;

constexpr std::uint64_t execute = 1U << 0;
constexpr std::uint64_t write_file = 1U << 1;
constexpr std::uint64_t read_file = 1U << 2;
constexpr std::uint64_t read_folder = 1U << 3;
constexpr std::uint64_t remove_file = 1U << 5;
constexpr std::uint64_t make_regular = 1U << 8;
constexpr std::uint64_t make_socket = 1U << 9;
constexpr std::uint64_t truncate = 1U << 14;
constexpr std::uint64_t of_files = execute | write_file | read_file | truncate;

constexpr std::uint64_t scope_abstract_sockets = 1U << 0;
constexpr std::uint64_t scope_signals = 1U << 1;

struct Ruleset {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scoped = 0;
};

struct [[gnu::packed]] PathRule {
  std::uint64_t allowed = 0;
  std::int32_t parent = -1;
};

/// All rights over files that a version knows: what is not granted of them is denied.
constexpr std::uint64_t known_rights(int version) noexcept {
  constexpr std::array<int, 6> rights{0, 13, 14, 15, 15, 16};
  const int count = version < 6 ? rights[static_cast<std::size_t>(version)] : rights.back();
  return (std::uint64_t{1} << count) - 1;
}

constexpr std::uint64_t rights_for(FileUse use) noexcept {
  switch (use) {
    case FileUse::read:
      return read_file | read_folder;
    case FileUse::write:
      return read_file | read_folder | write_file | truncate | make_regular | remove_file;
    case FileUse::sockets:
      return read_folder | make_socket | remove_file;
  }
  return 0;
}

constexpr std::uint64_t scope_of(Contact contact, int version) noexcept {
  if (version < 6 || contact == Contact::all) return 0;
  return scope_abstract_sockets | scope_signals;
}

Result<void> grant(int ruleset, const FileGrant& granted, std::uint64_t known) noexcept {
  const UniqueFd place{::open(granted.path.c_str(), O_PATH | O_CLOEXEC)};
  struct stat status{};
  if (!place.is_open() || ::fstat(place.get(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return std::unexpected(make_error(errno));
  }
  std::uint64_t rights = rights_for(granted.use) & known;
  if (!S_ISDIR(status.st_mode)) rights &= of_files;
  if (rights == 0) return {};
  const PathRule rule{.allowed = rights, .parent = place.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, path_beneath, &rule, 0) != 0) {
    return std::unexpected(make_error(errno));
  }
  return {};
}

}  // namespace

int landlock_version() noexcept {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, version_flag);
  return version > 0 ? static_cast<int>(version) : 0;
}

Result<void> confine_files(std::span<const FileGrant> grants, Contact contact) noexcept {
  const int version = landlock_version();
  if (version == 0) return std::unexpected(Error{.kind = ErrorKind::not_found, .os_code = ENOSYS});
  const Ruleset handled{.files = known_rights(version), .network = 0, .scoped = scope_of(contact, version)};
  // A kernel that does not know the last fields takes them where they are 0.
  const UniqueFd ruleset{static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0))};
  if (!ruleset.is_open()) return std::unexpected(make_error(errno));
  for (const FileGrant& granted : grants) {
    if (auto done = grant(ruleset.get(), granted, handled.files); !done) return done;
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return std::unexpected(make_error(errno));
  return {};
}

}  // namespace stile::sys
