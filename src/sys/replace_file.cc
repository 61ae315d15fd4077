#include "sys/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {
namespace {

std::unexpected<Error> last_error() {
  return std::unexpected(make_error(errno));
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

Result<UniqueFd> open_folder(const std::string& path) {
  UniqueFd folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return last_error();
  return folder;
}

/// A file without its name yet: removed unless it gets it.
class Draft {
 public:
  explicit Draft(const std::string& path)
      : name_(folder_of(path) + ".stile-XXXXXX"), fd_(::mkostemp(name_.data(), O_CLOEXEC)) {
    if (!fd_) name_.clear();
  }
  ~Draft() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  [[nodiscard]] bool is_open() const noexcept { return fd_.is_open(); }

  [[nodiscard]] Result<void> take_after(const struct stat* old, mode_t mode) const {
    const bool moves = old != nullptr && (old->st_uid != ::geteuid() || old->st_gid != ::getegid());
    if (moves && ::fchown(fd_.get(), old->st_uid, old->st_gid) != 0) return last_error();
    if (::fchmod(fd_.get(), old == nullptr ? mode : old->st_mode & mode) != 0) return last_error();
    return {};
  }

  [[nodiscard]] Result<void> write(std::string_view content) const {
    while (!content.empty()) {
      const ssize_t written = retry([&] { return ::write(fd_.get(), content.data(), content.size()); });
      if (written < 0) return last_error();
      content.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fsync(fd_.get()) != 0) return last_error();
    return {};
  }

  [[nodiscard]] Result<void> rename_to(const std::string& path) {
    if (std::rename(name_.c_str(), path.c_str()) != 0) return last_error();
    name_.clear();
    return {};
  }

 private:
  std::string name_;
  UniqueFd fd_;
};

}  // namespace

Result<FolderLock> FolderLock::of_file(const std::string& path) {
  auto folder = open_folder(path);
  if (!folder) return std::unexpected(folder.error());
  // flock(2), whose header has the name of one in this room.
  if (retry([&] { return ::syscall(SYS_flock, folder->get(), LOCK_EX); }) != 0) return last_error();
  return FolderLock(std::move(*folder));
}

Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode) {
  struct stat old{};
  const bool there = ::lstat(path.c_str(), &old) == 0;
  if (!there && errno != ENOENT) return last_error();
  if (there && !S_ISREG(old.st_mode)) return std::unexpected(make_error(S_ISLNK(old.st_mode) ? ELOOP : EINVAL));
  Draft draft(path);
  if (!draft.is_open()) return last_error();
  if (auto taken = draft.take_after(there ? &old : nullptr, mode); !taken) return taken;
  if (auto written = draft.write(content); !written) return written;
  if (auto renamed = draft.rename_to(path); !renamed) return renamed;
  const auto folder = open_folder(path);
  if (!folder) return std::unexpected(folder.error());
  if (::fsync(folder->get()) != 0) return last_error();
  return {};
}

}  // namespace stile::sys
