// The hosts file in force: read again when it changed on disk, looked at no more than once a second, and only when
// somebody asks. A file that cannot be read, or is beyond the limit, counts as empty and says why in `error`.
// Threading: one thread. Reads block, which a file of this kind does for microseconds.
// Tested in hosts_source_test.cc.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/time.h"
#include "resolve/hosts_file.h"
#include "sys/file.h"

namespace stile::resolve {

class HostsSource {
 public:
  /// An empty path means no hosts file: nothing is ever read.
  explicit HostsSource(std::string path, sys::ReadFile read_file = sys::read_file)
      : path_(std::move(path)), read_file_(std::move(read_file)) {}

  [[nodiscard]] const HostsTable& current(Instant now);
  /// Why the file is not in force. A file that does not exist is no error.
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 private:
  void read();

  std::string path_;
  sys::ReadFile read_file_;
  HostsTable table_;
  std::optional<sys::FileStamp> stamp_;  // of what `table_` holds
  std::optional<Error> error_;
  std::optional<Instant> checked_;
};

}  // namespace stile::resolve
