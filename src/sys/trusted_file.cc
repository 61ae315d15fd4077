#include "sys/trusted_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "sys/file.h"
#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

constexpr mode_t others_may_write = S_IWGRP | S_IWOTH;

FileRefusal refusal_of(int errno_value) {
  return {std::strerror(errno_value), ""};
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::expected<std::string, FileRefusal> resolved(const std::string& path) {
  struct Free {
    void operator()(char* text) const noexcept { std::free(text); }
  };
  const std::unique_ptr<char, Free> real(::realpath(path.c_str(), nullptr));
  if (real == nullptr) return std::unexpected(refusal_of(errno));
  return std::string(real.get());
}

std::optional<FileRefusal> distrust_of_folder(const std::string& folder) {
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0) return refusal_of(errno);
  if ((status.st_mode & others_may_write) == 0 || (status.st_mode & S_ISVTX) != 0) return std::nullopt;
  return FileRefusal{"its folder " + folder + " is writable by its group or by others", "chmod go-w " + folder};
}

std::optional<FileRefusal> distrust_of_file(const struct stat& status, const std::string& path, Secrecy secrecy) {
  if (S_ISDIR(status.st_mode)) return FileRefusal{"it is a folder", ""};
  if (!S_ISREG(status.st_mode)) return FileRefusal{"it is not a regular file", ""};
  if ((status.st_mode & others_may_write) != 0) {
    return FileRefusal{"it is writable by its group or by others", "chmod go-w " + path};
  }
  if (secrecy == Secrecy::none || (status.st_mode & S_IROTH) == 0) return std::nullopt;
  return FileRefusal{"it holds a secret, and everybody on this host may read it", "chmod o-r " + path};
}

}  // namespace

std::expected<std::string, FileRefusal> read_trusted_file(const std::string& path, std::size_t octets_max,
                                                          Secrecy secrecy) {
  const auto file = resolved(path);
  if (!file) return std::unexpected(file.error());
  const auto root = resolved(folder_of(path));
  if (!root) return std::unexpected(root.error());
  if (!file->starts_with(*root == "/" ? *root : *root + "/")) {
    return std::unexpected(
        FileRefusal{"it is a symbolic link out of its folder, to " + *file, "name that file itself"});
  }
  for (const std::string& folder : {*root, folder_of(*file)}) {
    if (auto refusal = distrust_of_folder(folder)) return std::unexpected(std::move(*refusal));
  }
  // Not blocking on a pipe that stands under the name; the kind is judged on what was opened.
  const UniqueFd fd(::open(file->c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return std::unexpected(refusal_of(errno));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(refusal_of(errno));
  if (auto refusal = distrust_of_file(status, path, secrecy)) return std::unexpected(std::move(*refusal));
  auto content = read_all(fd.get(), octets_max);
  if (content) return std::move(*content);
  if (content.error().os_code == EFBIG) {
    return std::unexpected(FileRefusal{"it is larger than " + std::to_string(octets_max) + " octets", ""});
  }
  return std::unexpected(refusal_of(content.error().os_code));
}

}  // namespace stile::sys
