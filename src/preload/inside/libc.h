// The C library's own functions, behind those of the same names that this library puts in their place. Threading: any;
// they are found once, before main, so that nothing is looked up in a signal handler. Tested by
// tests/e2e/preload_test.py.
#pragma once

#include <netdb.h>
#include <resolv.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <wordexp.h>

#include <cstddef>
#include <cstdio>
#include <ctime>

namespace stile::preload::inside {

struct Libc {
  // Sockets.
  int (*socket)(int, int, int);
  int (*connect)(int, const sockaddr*, socklen_t);
  int (*bind)(int, const sockaddr*, socklen_t);
  int (*listen)(int, int);
  int (*getpeername)(int, sockaddr*, socklen_t*);
  int (*getsockopt)(int, int, int, void*, socklen_t*);
  int (*setsockopt)(int, int, int, const void*, socklen_t);
  ssize_t (*sendto)(int, const void*, std::size_t, int, const sockaddr*, socklen_t);
  ssize_t (*sendmsg)(int, const msghdr*, int);
  ssize_t (*recvfrom)(int, void*, std::size_t, int, sockaddr*, socklen_t*);
  ssize_t (*recvfrom_chk)(int, void*, std::size_t, std::size_t, int, sockaddr*, socklen_t*);
  ssize_t (*recvmsg)(int, msghdr*, int);
  int (*recvmmsg)(int, mmsghdr*, unsigned, int, timespec*);
  long (*syscall)(long, ...);
  // Names.
  int (*getaddrinfo)(const char*, const char*, const addrinfo*, addrinfo**);
  int (*getnameinfo)(const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int);
  int (*res_mkquery)(int, const char*, int, int, const unsigned char*, int, const unsigned char*, unsigned char*, int);
  // Programs.
  int (*execve)(const char*, char* const*, char* const*);
  int (*execvpe)(const char*, char* const*, char* const*);
  int (*execveat)(int, const char*, char* const*, char* const*, int);
  int (*posix_spawn)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                     char* const*);
  int (*posix_spawnp)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                      char* const*);
  int (*posix_spawn_addchdir)(posix_spawn_file_actions_t*, const char*);
  int (*posix_spawn_addfchdir)(posix_spawn_file_actions_t*, int);
  int (*system)(const char*);
  FILE* (*popen)(const char*, const char*);
  int (*wordexp)(const char*, wordexp_t*, int);
};

[[nodiscard]] const Libc& libc() noexcept;

}  // namespace stile::preload::inside
