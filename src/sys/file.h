// Small files, read whole, and what tells that one changed. Refuses: files beyond the caller's bound. Blocking, for any
// thread. Tested in file_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// What changes when a file is replaced or written to.
struct FileStamp {
  std::int64_t modified_nanoseconds = 0;
  std::uint64_t inode = 0;
  std::uint64_t octets = 0;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

[[nodiscard]] Result<FileStamp> file_stamp(const std::string& path);

/// The whole content; EFBIG when it is longer than `octets_max`, EISDIR for a directory.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t octets_max);

/// Whatever reads a file as that does, for somebody who may not open it himself.
using ReadFile = std::function<Result<std::string>(const std::string& path, std::size_t octets_max)>;

/// A file in memory, for libraries that read nothing but files; `path` is its name as long as it is open.
struct MemoryFile {
  UniqueFd descriptor;
  std::string path;
};
[[nodiscard]] Result<MemoryFile> file_in_memory(std::string_view text);

/// As read_file, from an open descriptor, from where it stands.
[[nodiscard]] Result<std::string> read_all(int descriptor, std::size_t octets_max);

}  // namespace stile::sys
