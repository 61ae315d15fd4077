#include "sys/file_lock.h"

#include <fcntl.h>

#include <cerrno>

#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {
namespace {

constexpr mode_t private_mode = 0640;

UniqueFd open_or_create(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, private_mode));
}

}  // namespace

Result<FileLock> FileLock::take(const std::string& path) {
  UniqueFd descriptor = open_or_create(path);
  if (!descriptor) return std::unexpected(make_error(errno));
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  // Of the open file, not of the process: no other descriptor's end takes it away.
  if (retry([&] { return ::fcntl(descriptor.get(), F_OFD_SETLK, &whole); }) != 0) {
    return std::unexpected(make_error(errno));
  }
  return FileLock(std::move(descriptor));
}

Result<void> create_private_file(const std::string& path) {
  if (!open_or_create(path)) return std::unexpected(make_error(errno));
  return {};
}

}  // namespace stile::sys
