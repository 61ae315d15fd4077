#include "preload/inside/asking.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "preload/inside/libc.h"
#include "preload/inside/standing.h"
#include "sys/retry.h"

extern "C" char** environ;

namespace stile::preload::inside {
namespace {

constexpr int patience_seconds = 20;
constexpr std::size_t stack_octets = 32 * 1024;

/// With errno where there is none. ECONNREFUSED: nobody has that name.
sys::UniqueFd knock() noexcept {
  sys::UniqueFd link(libc().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!link) return link;
  const timeval patience{.tv_sec = patience_seconds, .tv_usec = 0};
  (void)libc().setsockopt(link.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  (void)libc().setsockopt(link.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const SocketName name = socket_name(standing().keys.name);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  if (sys::retry([&] { return libc().connect(link.get(), generic, length); }) == 0) return link;
  const int error = errno;
  link.reset();
  errno = error;
  return link;
}

/// Names are free to be taken by anybody once a carrier is gone: only this user's, or root's, is believed.
bool is_trusted(int link) noexcept {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (libc().getsockopt(link, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid() || peer.uid == ::getuid();
}

struct Start {
  const char* executable;
  char* const* environment;
  char* stack;  // its end
};

// Between clone and execve nothing is called but the kernel: the memory is the program's own.

int become_carrier(void* data) {
  const auto& start = *static_cast<const Start*>(data);
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nowhere < 0 || ::dup2(nowhere, 0) < 0 || ::dup2(nowhere, 1) < 0) ::_exit(1);
  char executable[] = "stile";
  char command[] = "preload-carrier";
  char* const words[] = {executable, command, nullptr};
  (void)libc().execve(start.executable, words, start.environment);
  ::_exit(1);
}

/// Whoever executes a program tells his parent of its end by a signal; this one's parent is not the program, and this
/// one itself ends without.
int stand_between(void* data) {
  const pid_t child = ::clone(become_carrier, static_cast<const Start*>(data)->stack, CLONE_VM | CLONE_VFORK, data);
  int status = 0;
  if (child > 0) sys::retry([&] { return ::waitpid(child, &status, __WALL); });
  ::_exit(0);
}

/// It has gone to the background, and listens, when this returns. The program hears nothing of the child: it ends
/// without a signal, and wait(2) passes over it.
void start_carrier() noexcept {
  const Standing& own = standing();
  std::size_t count = 0;
  while (environ != nullptr && environ[count] != nullptr) ++count;
  const std::size_t list_octets = (count + 3) * sizeof(char*);
  const std::size_t octets = 2 * stack_octets + list_octets;
  void* const room = ::mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (room == MAP_FAILED) return;
  char* const stacks = static_cast<char*>(room);
  auto* const environment = reinterpret_cast<char**>(stacks + 2 * stack_octets);
  char** end = environment;
  *end++ = const_cast<char*>(own.keys_entry);  // what stands first counts
  *end++ = const_cast<char*>(own.proxy_entry);
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::string_view(environ[i]).starts_with("LD_PRELOAD=")) *end++ = environ[i];
  }
  *end = nullptr;
  Start start{.executable = own.executable, .environment = environment, .stack = stacks + stack_octets};
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = ::clone(stand_between, stacks + 2 * stack_octets, CLONE_VM | CLONE_VFORK, &start);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  int status = 0;
  if (child > 0) sys::retry([&] { return ::waitpid(child, &status, __WALL); });
  ::munmap(room, octets);
}

}  // namespace

void ask(Question question, Heard& heard) noexcept {
  const int before = errno;
  const WithoutCancellation whole;
  heard.error = ENETUNREACH;
  const Standing& own = standing();
  if (own.reaches_nobody) return;
  heard.link = knock();
  if (!heard.link && errno == ECONNREFUSED && own.may_start) {
    start_carrier();
    heard.link = knock();
  }
  if (!heard.link && (errno == EMFILE || errno == ENFILE)) heard.error = errno;
  errno = before;
  if (!heard.link || !is_trusted(heard.link.get())) return;
  question.proof = own.keys.proof;
  const ConstBytes record = encode(question, heard.room);
  const auto sent = sys::retry(
      [&] { return libc().sendto(heard.link.get(), record.data(), record.size(), MSG_NOSIGNAL, nullptr, 0); });
  if (sent != static_cast<ssize_t>(record.size())) return;
  const auto came = sys::retry(
      [&] { return libc().recvfrom(heard.link.get(), heard.room.data(), heard.room.size(), 0, nullptr, nullptr); });
  errno = before;
  if (came <= 0) return;
  const auto answer = decode_answer(ConstBytes(heard.room).first(static_cast<std::size_t>(came)));
  if (!answer) return;
  heard.answer = *answer;
  heard.error = answer->error;
}

}  // namespace stile::preload::inside
