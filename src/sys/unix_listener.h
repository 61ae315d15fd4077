// A listening socket in the file system (unix(7)), made so that nobody else's file is ever harmed: a socket file that
// no server listens on is replaced, a live one is "in use", and whatever is no socket is left alone. Its permissions
// hold from the moment it exists. Two servers that start at once exclude each other by a lock on the folder. Blocking;
// changes the process's umask for a moment: for the start of a server, before it has threads that make files. Tested in
// unix_listener_test.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

struct UnixListenerOptions {
  std::string path;  // absolute, at most 107 octets (asserted)
  std::uint32_t mode = 0660;
  std::optional<std::uint32_t> owner;
  std::optional<std::uint32_t> group;
};

/// Why there is no listener, and what to do about it; either may be shown to the operator.
struct UnixListenerRefusal {
  std::string why;
  std::string cure;  // may be empty
};

class UnixListener {
 public:
  [[nodiscard]] static std::expected<UnixListener, UnixListenerRefusal> create(const UnixListenerOptions& options);
  UnixListener(UnixListener&&) noexcept = default;
  UnixListener& operator=(UnixListener&&) = delete;
  /// Removes the file, unless another has taken its place, and stops listening here.
  ~UnixListener();

  /// Another descriptor of the same socket, non-blocking, for an engine.
  [[nodiscard]] Result<UniqueFd> duplicate() const noexcept;

 private:
  UnixListener() = default;

  UniqueFd folder_;
  UniqueFd socket_;
  std::string name_;  // in the folder
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
};

}  // namespace stile::sys
