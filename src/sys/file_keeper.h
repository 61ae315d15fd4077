// Reads a few files for a process that may open none: a process of its own, forked before that one gave its rights up,
// opens them and hands the descriptors over. So a file that is replaced under its name (/etc/resolv.conf) is found
// again, and nothing else of its folder is within reach. What it is asked is which file of its list, by number, and
// nothing else. Refuses: to outlive its process. Threading: `read` from any thread, one at a time; blocks for as long
// as opening a file takes, and for limits::file_keeper_wait at most. Tested in file_keeper_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "sys/process.h"
#include "sys/unique_fd.h"

namespace stile::sys {

class FileKeeper {
 public:
  /// `enclose` runs in the new process, before it is asked anything: it gives up what it can; false ends it.
  [[nodiscard]] static Result<std::unique_ptr<FileKeeper>> start(std::vector<std::string> paths,
                                                                 const std::function<bool()>& enclose);
  FileKeeper(const FileKeeper&) = delete;
  FileKeeper& operator=(const FileKeeper&) = delete;

  /// As sys::read_file, of a path that it was started with.
  [[nodiscard]] Result<std::string> read(const std::string& path, std::size_t octets_max);

 private:
  FileKeeper(std::vector<std::string> paths, Process process, UniqueFd socket) noexcept
      : paths_(std::move(paths)), process_(std::move(process)), socket_(std::move(socket)) {}
  [[nodiscard]] Result<UniqueFd> open(std::size_t index);

  const std::vector<std::string> paths_;
  Process process_;  // ends once the socket is closed
  UniqueFd socket_;
  std::mutex mutex_;
  std::uint32_t asked_ = 0;  // under mutex_
};

}  // namespace stile::sys
