// syscall(2): those of its calls that this library puts something in the place of go there. Each has six words at most,
// and which of them count the number tells. Tested by tests/e2e/preload_test.py.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <initializer_list>

#include "preload/inside/libc.h"

using stile::preload::inside::libc;

namespace {

template <class Value>
Value as(long word) noexcept {
  return reinterpret_cast<Value>(word);  // NOLINT: what the kernel does
}

long fail(int error) noexcept {
  errno = error;
  return -1;
}

struct Words {
  long a, b, c, d, e, f;
};

long call(long number, const Words& w) noexcept {
  const int fd = static_cast<int>(w.a);
  switch (number) {
    case SYS_socket:
      return socket(fd, static_cast<int>(w.b), static_cast<int>(w.c));
    case SYS_connect:
      return connect(fd, as<const sockaddr*>(w.b), static_cast<socklen_t>(w.c));
    case SYS_bind:
      return bind(fd, as<const sockaddr*>(w.b), static_cast<socklen_t>(w.c));
    case SYS_listen:
      return listen(fd, static_cast<int>(w.b));
    case SYS_getpeername:
      return getpeername(fd, as<sockaddr*>(w.b), as<socklen_t*>(w.c));
    case SYS_getsockopt:
      return getsockopt(fd, static_cast<int>(w.b), static_cast<int>(w.c), as<void*>(w.d), as<socklen_t*>(w.e));
    case SYS_setsockopt:
      return setsockopt(fd, static_cast<int>(w.b), static_cast<int>(w.c), as<const void*>(w.d),
                        static_cast<socklen_t>(w.e));
    case SYS_sendto:
      return sendto(fd, as<const void*>(w.b), static_cast<std::size_t>(w.c), static_cast<int>(w.d),
                    as<const sockaddr*>(w.e), static_cast<socklen_t>(w.f));
    case SYS_sendmsg:
      return sendmsg(fd, as<const msghdr*>(w.b), static_cast<int>(w.c));
    case SYS_sendmmsg:
      return sendmmsg(fd, as<mmsghdr*>(w.b), static_cast<unsigned>(w.c), static_cast<int>(w.d));
    case SYS_recvfrom:
      return recvfrom(fd, as<void*>(w.b), static_cast<std::size_t>(w.c), static_cast<int>(w.d), as<sockaddr*>(w.e),
                      as<socklen_t*>(w.f));
    case SYS_recvmsg:
      return recvmsg(fd, as<msghdr*>(w.b), static_cast<int>(w.c));
    case SYS_recvmmsg:
      return recvmmsg(fd, as<mmsghdr*>(w.b), static_cast<unsigned>(w.c), static_cast<int>(w.d), as<timespec*>(w.e));
    case SYS_execve:
      return execve(as<const char*>(w.a), as<char* const*>(w.b), as<char* const*>(w.c));
    case SYS_execveat:
      return execveat(fd, as<const char*>(w.b), as<char* const*>(w.c), as<char* const*>(w.d), static_cast<int>(w.e));
    case SYS_io_uring_setup:
    case SYS_io_uring_enter:
    case SYS_io_uring_register:
      return fail(ENOSYS);
    default:
      return libc().syscall(number, w.a, w.b, w.c, w.d, w.e, w.f);
  }
}

}  // namespace

extern "C" long syscall(long number, ...) noexcept {
  Words words{};
  va_list list;
  va_start(list, number);
  for (long* const word : {&words.a, &words.b, &words.c, &words.d, &words.e, &words.f}) *word = va_arg(list, long);
  va_end(list);
  return call(number, words);
}
