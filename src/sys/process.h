// A process of this program's own making: forked to run a function of it, or to become another program. It dies with
// whoever made it, holds no descriptor but those that it was given, and is in a session of its own, so that no signal
// from a terminal reaches it. Refuses: to wait; its end is seen by a descriptor. Forking copies one thread alone: a
// process with more of them forks only what executes a program at once. Threading: one thread a process; whoever forked
// it must outlive it (its end is the child's). Tested in process_test.cc.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/time.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// This process's number, by which a child that was forked knows that it is not its parent.
[[nodiscard]] int own_process_id() noexcept;

/// The file that this process executes, absolute; absent where the system does not tell.
[[nodiscard]] std::optional<std::string> own_executable();

/// How one ended: `signal` is 0 where it returned `code`.
struct Ending {
  int code = 0;
  int signal = 0;
};

class Process {
 public:
  Process() noexcept = default;
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  /// Ends it if it runs.
  ~Process();

  /// Runs `body`, whose result is its exit code. No signal is blocked there. Standard input and output lead nowhere,
  /// standard error stays; `keep` are the only other descriptors it has. `name` is what process lists show, of at most
  /// 15 octets.
  [[nodiscard]] static Result<Process> fork(const char* name, std::span<const int> keep,
                                            const std::function<int()>& body);

  /// The three ends of a program's standard streams, for us. They do not block.
  struct Streams {
    UniqueFd input;
    UniqueFd output;
    UniqueFd error;
  };
  struct Executed;
  /// Becomes the program; a path that cannot be executed ends it with 127.
  [[nodiscard]] static Result<Executed> execute(const std::vector<std::string>& words);

  [[nodiscard]] bool running() const noexcept { return id_ > 0; }
  [[nodiscard]] int id() const noexcept { return id_; }
  /// Readable once it has ended; -1 where there is none.
  [[nodiscard]] int descriptor() const noexcept { return watch_.get(); }
  /// Absent while it runs; afterwards there is none any longer.
  [[nodiscard]] std::optional<Ending> ended() noexcept;
  /// With those that it started and that stayed in its session's first group.
  void kill() const noexcept;
  /// Waits for its end at most so long.
  [[nodiscard]] std::optional<Ending> await(Duration longest) noexcept;

 private:
  Process(int id, UniqueFd watch) noexcept : id_(id), watch_(std::move(watch)) {}
  template <class Body>
  [[nodiscard]] static Result<Process> make(const Body& body);
  void end() noexcept;

  int id_ = 0;
  UniqueFd watch_;
};

struct Process::Executed {
  Process process;
  Streams streams;
};

// Of a program's streams, which do not block: would_block where nothing waits or nothing fits.
/// 0 where it has closed its end.
[[nodiscard]] Result<std::size_t> read_some(const UniqueFd& from, MutableBytes buffer) noexcept;
[[nodiscard]] Result<std::size_t> write_some(const UniqueFd& to, ConstBytes octets) noexcept;

/// For a process that holds secrets: no core is written of it, nor of those it starts, and nobody else may look into
/// it.
void hide_memory() noexcept;

/// It goes on when a service manager tells all processes of a service to end: another one decides for it.
void ignore_end_signals() noexcept;
/// And as they are at first: what foreign code, and what it starts, expects. Writing to a closed pipe stays an error.
void default_end_signals() noexcept;

}  // namespace stile::sys
