#include "preload/inside/libc.h"

#include <dlfcn.h>

#include "base/assert.h"

namespace stile::preload::inside {
namespace {

template <class Function>
void find(Function*& function, const char* name) noexcept {
  function = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
  STILE_ASSERT(function != nullptr);
}

Libc find_all() noexcept {
  Libc all{};
  find(all.socket, "socket");
  find(all.connect, "connect");
  find(all.bind, "bind");
  find(all.listen, "listen");
  find(all.getpeername, "getpeername");
  find(all.getsockopt, "getsockopt");
  find(all.setsockopt, "setsockopt");
  find(all.sendto, "sendto");
  find(all.sendmsg, "sendmsg");
  find(all.recvfrom, "recvfrom");
  find(all.recvfrom_chk, "__recvfrom_chk");
  find(all.recvmsg, "recvmsg");
  find(all.recvmmsg, "recvmmsg");
  find(all.syscall, "syscall");
  find(all.getaddrinfo, "getaddrinfo");
  find(all.getnameinfo, "getnameinfo");
  find(all.res_mkquery, "res_mkquery");
  find(all.execve, "execve");
  find(all.execvpe, "execvpe");
  find(all.execveat, "execveat");
  find(all.posix_spawn, "posix_spawn");
  find(all.posix_spawnp, "posix_spawnp");
  find(all.posix_spawn_addchdir, "posix_spawn_file_actions_addchdir_np");
  find(all.posix_spawn_addfchdir, "posix_spawn_file_actions_addfchdir_np");
  find(all.system, "system");
  find(all.popen, "popen");
  find(all.wordexp, "wordexp");
  return all;
}

}  // namespace

const Libc& libc() noexcept {
  static const Libc all = find_all();
  return all;
}

}  // namespace stile::preload::inside
