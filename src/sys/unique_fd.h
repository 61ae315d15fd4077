// Sole ownership of a descriptor. Not for the engine's sockets, which the engine closes. Movable, any thread.
// Tested in unique_fd_test.cc.
#pragma once

#include <unistd.h>

#include <utility>

namespace stile::sys {

class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  /// Takes ownership; a negative number is no descriptor.
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  explicit operator bool() const noexcept { return is_open(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  /// Gives ownership away.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes what it owns; the result of close(2) tells nothing that could be acted on. May change errno.
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace stile::sys
