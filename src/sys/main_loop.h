// What the main thread waits for: signals, and words from other threads. Blocking, main thread only, except
// Notification::notify. Tested in main_loop_test.cc.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/time.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// Signals as a queue. Blocks them for this thread and all threads started later, for the life of the process.
class SignalQueue {
 public:
  [[nodiscard]] static Result<SignalQueue> create(std::initializer_list<int> signals);
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }
  /// The next signal's number; absent when none waits.
  [[nodiscard]] std::optional<int> next() noexcept;
  struct Signal {
    int number = 0;
    bool by_kernel = false;  // as a terminal's are, which all processes of its foreground group get; else a process's
  };
  /// The same, with who sent it.
  [[nodiscard]] std::optional<Signal> next_with_sender() noexcept;

 private:
  explicit SignalQueue(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// A flag that another thread raises and the main thread waits for.
class Notification {
 public:
  [[nodiscard]] static Result<Notification> create();
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }
  /// From any thread.
  void notify() noexcept;
  void clear() noexcept;

 private:
  explicit Notification(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// Blocks until one of the descriptors is readable, and says which (the first one). A negative descriptor never is.
/// would_block where `longest` is over first.
[[nodiscard]] Result<std::size_t> wait_readable(std::span<const int> descriptors,
                                                std::optional<Duration> longest = std::nullopt) noexcept;

/// Writing to a closed socket or pipe is an error there, not a signal to the process.
void ignore_broken_pipes() noexcept;

}  // namespace stile::sys
