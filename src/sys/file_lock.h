// A file that one process at a time may hold, and files that only their owner and group may read. The lock goes with
// the process, however that ends. Refuses: to wait. Blocking on the disk, for any thread. Tested in file_lock_test.cc.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

class FileLock {
 public:
  /// Creates the file where there is none, mode 0640; it stays. ErrorKind::would_block: somebody else holds it.
  [[nodiscard]] static Result<FileLock> take(const std::string& path);

 private:
  explicit FileLock(UniqueFd descriptor) noexcept : descriptor_(std::move(descriptor)) {}
  UniqueFd descriptor_;
};

/// Makes sure that it is there; a file that is keeps its mode and its content.
[[nodiscard]] Result<void> create_private_file(const std::string& path);

}  // namespace stile::sys
