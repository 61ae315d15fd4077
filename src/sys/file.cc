#include "sys/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/limits.h"
#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {
namespace {

constexpr std::size_t read_octets = 64 * limits::KiB;

}  // namespace

Result<FileStamp> file_stamp(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::unexpected(make_error(errno));
  return FileStamp{
      .modified_nanoseconds = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec,
      .inode = status.st_ino,
      .octets = static_cast<std::uint64_t>(status.st_size),
  };
}

Result<std::string> read_file(const std::string& path, std::size_t octets_max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return std::unexpected(make_error(errno));
  return read_all(fd.get(), octets_max);
}

Result<MemoryFile> file_in_memory(std::string_view text) {
  UniqueFd file{::memfd_create("stile", MFD_CLOEXEC)};
  if (!file.is_open()) return std::unexpected(make_error(errno));
  while (!text.empty()) {
    const ssize_t written = retry([&] { return ::write(file.get(), text.data(), text.size()); });
    if (written < 0) return std::unexpected(make_error(errno));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  std::string path = "/proc/self/fd/" + std::to_string(file.get());
  return MemoryFile{std::move(file), std::move(path)};
}

Result<std::string> read_all(int descriptor, std::size_t octets_max) {
  std::string content;
  while (true) {
    // One octet beyond the bound is asked for, so that a file of exactly the bound is told from a longer one.
    const std::size_t held = content.size();
    const std::size_t wanted = std::min(read_octets, octets_max - held + 1);
    content.resize(held + wanted);
    const ssize_t count = retry([&] { return ::read(descriptor, content.data() + held, wanted); });
    if (count < 0) return std::unexpected(make_error(errno));
    content.resize(held + static_cast<std::size_t>(count));
    if (count == 0) return content;
    if (content.size() > octets_max) return std::unexpected(make_error(EFBIG));
  }
}

}  // namespace stile::sys
