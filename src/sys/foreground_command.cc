#include "sys/foreground_command.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {
namespace {

/// What the process says where it does not become the program.
struct Outcome {
  bool preparing = false;
  int step = 0;
  int os_code = 0;
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> all;
  for (const std::string& word : words) all.push_back(const_cast<char*>(word.c_str()));
  all.push_back(nullptr);
  return all;
}

[[noreturn]] void become(const std::vector<std::string>& words, const std::vector<std::string>& environment,
                         const ForegroundCommand::Preparation& prepare, int go, int outcome) {
  char word = 0;
  if (retry([&] { return ::read(go, &word, 1); }) != 1) ::_exit(1);
  Outcome failed;
  if (const auto fault = prepare()) {
    failed = {.preparing = true, .step = fault->step, .os_code = fault->error.os_code};
  } else {
    ::execvpe(words.front().c_str(), pointers(words).data(), pointers(environment).data());
    failed.os_code = errno;
  }
  retry([&] { return ::write(outcome, &failed, sizeof failed); });
  ::_exit(1);
}

}  // namespace

Result<ForegroundCommand> ForegroundCommand::fork(const std::vector<std::string>& words,
                                                  const std::vector<std::string>& environment,
                                                  const Preparation& prepare) {
  int go[2];
  if (::pipe2(go, O_CLOEXEC) != 0) return std::unexpected(make_error(errno));
  const UniqueFd go_read(go[0]);
  UniqueFd go_write(go[1]);
  int outcome[2];
  if (::pipe2(outcome, O_CLOEXEC) != 0) return std::unexpected(make_error(errno));
  UniqueFd outcome_read(outcome[0]);
  const UniqueFd outcome_write(outcome[1]);
  const pid_t child = ::fork();
  if (child < 0) return std::unexpected(make_error(errno));
  if (child == 0) {
    go_write.reset();  // or its own end would not be seen
    become(words, environment, prepare, go_read.get(), outcome_write.get());
  }
  // The header of glibc 2.36 that declares its wrapper is not one for C++.
  UniqueFd watch(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!watch) return std::unexpected(make_error(errno));
  return ForegroundCommand(child, std::move(watch), std::move(go_write), std::move(outcome_read));
}

std::optional<CommandRefusal> ForegroundCommand::start() noexcept {
  const char word = 1;
  retry([&] { return ::write(go_.get(), &word, 1); });
  go_.reset();
  Outcome outcome;
  const ssize_t told = retry([&] { return ::read(outcome_.get(), &outcome, sizeof outcome); });
  outcome_.reset();
  if (told == 0) return std::nullopt;
  int status = 0;
  retry([&] { return ::waitpid(std::exchange(id_, 0), &status, 0); });
  return CommandRefusal{
      .preparing = outcome.preparing, .step = outcome.step, .error = make_error(told < 0 ? EIO : outcome.os_code)};
}

std::optional<Ending> ForegroundCommand::ended() noexcept {
  if (id_ == 0) return std::nullopt;
  int status = 0;
  const pid_t done = retry([&] { return ::waitpid(id_, &status, WNOHANG); });
  if (done == 0) return std::nullopt;
  id_ = 0;
  if (done > 0 && WIFSIGNALED(status)) return Ending{.code = 0, .signal = WTERMSIG(status)};
  return Ending{.code = done < 0 ? 1 : WEXITSTATUS(status), .signal = 0};
}

void ForegroundCommand::signal(int number) const noexcept {
  if (id_ > 0) ::kill(id_, number);
}

}  // namespace stile::sys
