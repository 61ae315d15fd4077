// Another program, run in this process's place as far as anybody can tell: in its session and process group, with its
// standard streams, terminal and working directory, so that a shell's job control and a terminal's signals reach both
// alike. What it may see is prepared in the process that becomes it. Threading: main thread; `fork` while there is one
// thread. Tested in foreground_command_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "sys/process.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// Why there is no program.
struct CommandRefusal {
  bool preparing = false;  // the preparation failed, by its own number and the system's error
  int step = 0;
  Error error;
};

class ForegroundCommand {
 public:
  /// What is done in the process before it executes the program: the number of the step that failed, and why.
  struct Fault {
    int step = 0;
    Error error;
  };
  using Preparation = std::function<std::optional<Fault>()>;

  /// Makes the process, which waits. Signals are as they are now: block others only afterwards. `environment`: all of
  /// it, "NAME=VALUE".
  [[nodiscard]] static Result<ForegroundCommand> fork(const std::vector<std::string>& words,
                                                      const std::vector<std::string>& environment,
                                                      const Preparation& prepare);
  ForegroundCommand(ForegroundCommand&& other) noexcept = default;
  ForegroundCommand& operator=(ForegroundCommand&&) = delete;
  /// One that was not started ends; one that runs goes on.
  ~ForegroundCommand() = default;

  /// Lets it go on. Waits until the program is executed, or cannot be: words[0] is looked for in PATH, as execvp(3)
  /// does.
  [[nodiscard]] std::optional<CommandRefusal> start() noexcept;
  /// Readable once it has ended.
  [[nodiscard]] int descriptor() const noexcept { return watch_.get(); }
  /// Absent while it runs. Once.
  [[nodiscard]] std::optional<Ending> ended() noexcept;
  /// A no-op once it has ended.
  void signal(int number) const noexcept;

 private:
  ForegroundCommand(int id, UniqueFd watch, UniqueFd go, UniqueFd outcome) noexcept
      : id_(id), watch_(std::move(watch)), go_(std::move(go)), outcome_(std::move(outcome)) {}

  int id_;
  UniqueFd watch_;
  UniqueFd go_;
  UniqueFd outcome_;
};

}  // namespace stile::sys
