// A file replaced at once: whoever reads it sees the old content or the new, never a part, whatever fails in between.
// And the lock under which a program reads a file and replaces it, so that two of them lose nothing. Refuses: links,
// and what is not a regular file. Blocking, for any thread. Tested in replace_file_test.cc.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// Held on a file's folder by one program at a time, for as long as this object lives.
class FolderLock {
 public:
  /// Waits for whoever has it.
  [[nodiscard]] static Result<FolderLock> of_file(const std::string& path);

 private:
  explicit FolderLock(UniqueFd folder) noexcept : folder_(std::move(folder)) {}
  UniqueFd folder_;
};

/// Writes `content` beside `path`, makes it durable and gives it the name. A file that is there keeps its owner and
/// group, and its mode as far as `mode` allows it; a new one gets `mode`.
[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode);

}  // namespace stile::sys
