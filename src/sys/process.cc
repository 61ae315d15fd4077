#include "sys/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <utility>

#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/wait_any.h"

namespace stile::sys {
namespace {

constexpr int first_other = 3;  // behind the standard streams
constexpr int cannot_execute = 127;

void unblock_signals() noexcept {
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

// As a shell would have them. What is ignored stays so in whatever is executed.
void default_signals() noexcept {
  default_end_signals();
  std::signal(SIGPIPE, SIG_DFL);
  unblock_signals();
}

void die_with(pid_t parent) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it is gone already
}

void close_all_but(std::span<const int> keep) noexcept {
  std::array<int, 8> kept{};
  std::size_t count = 0;
  for (const int descriptor : keep) {
    if (descriptor >= first_other && count < kept.size()) kept[count++] = descriptor;
  }
  std::sort(kept.begin(), kept.begin() + count);
  unsigned next = first_other;
  for (std::size_t i = 0; i < count; ++i) {
    const auto descriptor = static_cast<unsigned>(kept[i]);
    if (descriptor > next) ::close_range(next, descriptor - 1, 0);
    next = descriptor + 1;
  }
  ::close_range(next, UINT_MAX, 0);
}

void lead_nowhere() noexcept {
  const int nowhere = ::open("/dev/null", O_RDWR);
  if (nowhere < 0) return;
  ::dup2(nowhere, STDIN_FILENO);
  ::dup2(nowhere, STDOUT_FILENO);
  if (nowhere >= first_other) ::close(nowhere);
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe() noexcept {
  int descriptors[2];
  if (::pipe2(descriptors, O_CLOEXEC) != 0) return std::unexpected(make_error(errno));
  return Pipe{UniqueFd(descriptors[0]), UniqueFd(descriptors[1])};
}

bool unblock(const UniqueFd& descriptor) noexcept {
  return ::fcntl(descriptor.get(), F_SETFL, O_NONBLOCK) == 0;
}

// A pipe's end may have the number of a standard stream where those were closed.
[[noreturn]] void become(std::span<char* const> words, int input, int output, int error) noexcept {
  const int ends[] = {::fcntl(input, F_DUPFD, first_other), ::fcntl(output, F_DUPFD, first_other),
                      ::fcntl(error, F_DUPFD, first_other)};
  for (int stream = 0; stream < first_other; ++stream) {
    if (ends[stream] < 0 || ::dup2(ends[stream], stream) < 0) ::_exit(cannot_execute);
  }
  close_all_but({});
  ::execv(words.front(), words.data());
  ::_exit(cannot_execute);
}

// The header of glibc 2.36 that declares its wrapper is not one for C++.
UniqueFd watch_process(pid_t process) noexcept {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

Ending ending_of(int status) noexcept {
  if (WIFSIGNALED(status)) return {.code = 0, .signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status), .signal = 0};
}

}  // namespace

int own_process_id() noexcept {
  return ::getpid();
}

std::optional<std::string> own_executable() {
  std::string path(PATH_MAX, '\0');
  const auto octets = ::readlink("/proc/self/exe", path.data(), path.size());
  if (octets <= 0 || static_cast<std::size_t>(octets) >= path.size()) return std::nullopt;
  path.resize(static_cast<std::size_t>(octets));
  return path;
}

Process::Process(Process&& other) noexcept : id_(std::exchange(other.id_, 0)), watch_(std::move(other.watch_)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  end();
  id_ = std::exchange(other.id_, 0);
  watch_ = std::move(other.watch_);
  return *this;
}

Process::~Process() {
  end();
}

/// A child in a session of its own, which dies with its parent, runs `body` and exits with its result.
template <class Body>
Result<Process> Process::make(const Body& body) {
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return std::unexpected(make_error(errno));
  if (child == 0) {
    ::setsid();
    die_with(parent);
    ::_exit(body());
  }
  Process process(child, watch_process(child));
  if (!process.watch_) return std::unexpected(make_error(errno));
  return process;
}

Result<Process> Process::fork(const char* name, std::span<const int> keep, const std::function<int()>& body) {
  return make([&] {
    ::prctl(PR_SET_NAME, name);
    unblock_signals();
    lead_nowhere();
    close_all_but(keep);
    return body();
  });
}

Result<Process::Executed> Process::execute(const std::vector<std::string>& words) {
  auto input = make_pipe();
  auto output = make_pipe();
  auto error = make_pipe();
  if (!input || !output || !error) return std::unexpected(make_error(EMFILE));
  // Prepared here: between fork and execute nothing is allocated.
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  auto process = make([&]() -> int {
    default_signals();
    become(pointers, input->read.get(), output->write.get(), error->write.get());
  });
  if (!process) return std::unexpected(process.error());
  for (const UniqueFd* const end : {&input->write, &output->read, &error->read}) {
    if (!unblock(*end)) return std::unexpected(make_error(errno));
  }
  return Executed{*std::move(process), {std::move(input->write), std::move(output->read), std::move(error->read)}};
}

std::optional<Ending> Process::ended() noexcept {
  if (id_ == 0) return std::nullopt;
  int status = 0;
  const pid_t done = retry([&] { return ::waitpid(id_, &status, WNOHANG); });
  if (done == 0) return std::nullopt;
  id_ = 0;
  watch_.reset();
  return done < 0 ? Ending{.code = 1, .signal = 0} : ending_of(status);
}

void Process::kill() const noexcept {
  if (id_ == 0) return;
  ::kill(-id_, SIGKILL);
  ::kill(id_, SIGKILL);
}

std::optional<Ending> Process::await(Duration longest) noexcept {
  std::array watched{Waited{.descriptor = descriptor()}};
  const Duration end = monotonic_now() + longest;
  for (;;) {
    if (const auto ending = ended()) return ending;
    const Duration left = end - monotonic_now();
    if (id_ == 0 || left <= Duration::zero() || !wait_any(watched, left)) return std::nullopt;
  }
}

void Process::end() noexcept {
  if (id_ == 0) return;
  kill();
  // One that has more rights than this process has left cannot be ended by it, and is not waited for.
  const bool ours = ::kill(id_, 0) == 0;
  int status = 0;
  if (ours) retry([&] { return ::waitpid(id_, &status, 0); });
  id_ = 0;
}

Result<std::size_t> read_some(const UniqueFd& from, MutableBytes buffer) noexcept {
  const auto got = retry([&] { return ::read(from.get(), buffer.data(), buffer.size()); });
  if (got < 0) return std::unexpected(make_error(errno));
  return static_cast<std::size_t>(got);
}

Result<std::size_t> write_some(const UniqueFd& to, ConstBytes octets) noexcept {
  const auto written = retry([&] { return ::write(to.get(), octets.data(), octets.size()); });
  if (written < 0) return std::unexpected(make_error(errno));
  return static_cast<std::size_t>(written);
}

void hide_memory() noexcept {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

void ignore_end_signals() noexcept {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) std::signal(signal, SIG_IGN);
}

void default_end_signals() noexcept {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) std::signal(signal, SIG_DFL);
}

}  // namespace stile::sys
