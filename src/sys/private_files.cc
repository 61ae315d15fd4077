#include "sys/private_files.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

constexpr const char* anywhere = "/etc";  // a folder that every system has, covered for a moment
constexpr unsigned long harmless = MS_NOSUID | MS_NODEV | MS_NOEXEC;

std::unexpected<Error> last_error() noexcept {
  return std::unexpected(make_error(errno));
}

Result<void> put(const std::string& path, std::string_view text) noexcept {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  if (!fd) return last_error();
  while (!text.empty()) {
    const ssize_t written = retry([&] { return ::write(fd.get(), text.data(), text.size()); });
    if (written < 0) return last_error();
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

/// Where a path leads; empty where nothing is there.
std::string real_path(const std::string& path) {
  char room[PATH_MAX];
  return ::realpath(path.c_str(), room) == nullptr ? std::string() : std::string(room);
}

Result<void> cover_folder(const std::string& folder, std::span<const PrivateFile> files) {
  if (::mount("tmpfs", folder.c_str(), "tmpfs", harmless, "mode=0755,size=1m") != 0) return last_error();
  for (const PrivateFile& file : files) {
    if (!file.path.starts_with(folder + "/") || file.path.find('/', folder.size() + 1) != std::string::npos) continue;
    if (auto done = put(file.path, file.text); !done) return done;
  }
  if (::mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_RDONLY | harmless, nullptr) != 0) return last_error();
  return {};
}

/// A file that is nowhere yet, as a mount.
Result<UniqueFd> make_file(std::string_view text) {
  if (::mount("tmpfs", anywhere, "tmpfs", harmless, "mode=0755,size=1m") != 0) return last_error();
  const std::string path = std::string(anywhere) + "/file";
  auto made = put(path, text);
  Result<UniqueFd> file;
  if (made && ::mount(nullptr, anywhere, nullptr, MS_REMOUNT | MS_RDONLY | harmless, nullptr) != 0) made = last_error();
  if (made) {
    file = UniqueFd(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (!*file) made = last_error();
  }
  if (::umount2(anywhere, MNT_DETACH) != 0 && made) made = last_error();
  if (!made) return std::unexpected(made.error());
  return file;
}

}  // namespace

Result<void> see_private_files(std::span<const PrivateFile> files, std::span<const std::string> folders) {
  // Mounts that others make still come in; ours do not go out.
  if (::unshare(CLONE_NEWNS) != 0) return last_error();
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return last_error();
  std::vector<PrivateFile> seen;
  for (const PrivateFile& file : files) {
    const std::string path = real_path(file.path);
    if (!path.empty() && std::ranges::find(seen, path, &PrivateFile::path) == seen.end()) {
      seen.push_back({path, file.text});
    }
  }
  for (const std::string& folder : folders) {
    const std::string path = real_path(folder);
    if (path.empty()) continue;
    if (auto done = cover_folder(path, seen); !done) return done;
  }
  for (const PrivateFile& file : seen) {
    auto mount = make_file(file.text);
    if (!mount) return std::unexpected(mount.error());
    if (::move_mount(mount->get(), "", AT_FDCWD, file.path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) return last_error();
  }
  return {};
}

}  // namespace stile::sys
