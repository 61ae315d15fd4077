// Programs that are executed have to have this library as well: where it could not be loaded into one the program would
// go past the proxy, and is refused (threat TW4). The environment that a program is given leads it to the carrier,
// whatever else stands in it. Allocates nothing, for most callers are children of vfork(2).
// Tested by tests/e2e/preload_test.py.
#include <fcntl.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "preload/inside/libc.h"
#include "preload/inside/standing.h"
#include "sys/preloadable.h"
#include "sys/retry.h"

extern "C" char** environ;

namespace stile::preload::inside {
namespace {

constexpr std::string_view preload_prefix = "LD_PRELOAD=";

void say(std::initializer_list<std::string_view> words) noexcept {
  std::array<iovec, 8> parts{};
  int count = 0;
  for (const std::string_view word : words) {
    parts[static_cast<std::size_t>(count++)] = {.iov_base = const_cast<char*>(word.data()), .iov_len = word.size()};
  }
  (void)sys::retry([&] { return ::writev(STDERR_FILENO, parts.data(), count); });
}

/// 0, or the errno with which it is refused.
int judge(const char* path) noexcept {
  const int before = errno;
  const Standing& own = standing();
  // With another user's rights nothing is known of any proxy; else something is amiss.
  if (own.reaches_nobody) return ::getauxval(AT_SECURE) != 0 ? 0 : EACCES;
  if (::access(own.library_path(), R_OK) != 0) {
    say({"stile: cannot run ", path, ": ", own.library_path(), " is out of its reach\n"});
    return EACCES;
  }
  const sys::Preloadable answer = sys::preloadable(path);
  errno = before;
  if (answer == sys::Preloadable::yes || answer == sys::Preloadable::unknown) return 0;
  if (own.lenient) {
    say({"stile: warning: ", path, " is ", sys::words(answer), ": what it sends goes past the proxy\n"});
    return 0;
  }
  say({"stile: cannot run ", path, ": ", sys::words(answer),
       " would go past the proxy (use a private network, or let it with --lenient)\n"});
  return EACCES;
}

/// Of what posix_spawn is to do in the child: it changes the folder before it executes. Nobody may read the list of it,
/// so this is noted in its last spare word as it is asked for.
int& changes_folder(posix_spawn_file_actions_t& actions) noexcept {
  return actions.__pad[std::size(actions.__pad) - 1];
}

bool starts_elsewhere(const posix_spawn_file_actions_t* actions) noexcept {
  return actions != nullptr && changes_folder(const_cast<posix_spawn_file_actions_t&>(*actions)) != 0;
}

/// As `judge`, of a program that posix_spawn starts. What a relative path leads to in another folder is not known here.
int judge_spawned(const char* path, const posix_spawn_file_actions_t* actions, bool is_relative) noexcept {
  const Standing& own = standing();
  if (!starts_elsewhere(actions) || !is_relative || own.reaches_nobody) return judge(path);
  say({"stile: ", own.lenient ? "warning: " : "cannot run ", path,
       own.lenient ? " is found from another folder: what it sends goes past the proxy, perhaps\n"
                   : " from another folder: whether it would go past the proxy cannot be told (use its whole path)\n"});
  return own.lenient ? 0 : EACCES;
}

/// An entry of PATH that means another folder in another folder.
bool has_relative_entry(std::string_view path) noexcept {
  while (path.starts_with('/')) {
    const std::size_t end = path.find(':');
    if (end == std::string_view::npos) return false;
    path.remove_prefix(end + 1);
  }
  return true;
}

std::size_t count_of(char* const* list) noexcept {
  std::size_t count = 0;
  while (list != nullptr && list[count] != nullptr) ++count;
  return count;
}

bool begins(const char* entry, std::string_view prefix) noexcept {
  return std::strncmp(entry, prefix.data(), prefix.size()) == 0;
}

std::string_view name_of(const char* entry) noexcept {
  return {entry, std::strcspn(entry, "=") + 1};
}

/// Fills `list`, which has room for five more entries than `given` has. `library` is room for an LD_PRELOAD.
/// False where that does not fit.
bool complete(char* const* given, char** list, char* library, std::size_t library_octets) noexcept {
  const Standing& own = standing();
  const std::array<const char*, 3> required{own.keys_entry, own.proxy_entry, own.lenient_entry};
  const char* preload = own.library;
  for (std::size_t i = 0; given != nullptr && given[i] != nullptr; ++i) {
    char* const entry = given[i];
    bool replaced = false;
    for (const char* const one : required) replaced = replaced || (*one != '\0' && begins(entry, name_of(one)));
    if (begins(entry, preload_prefix)) {
      replaced = true;
      if (names_library(entry + preload_prefix.size(), own)) {
        preload = entry;
      } else {
        const int size = std::snprintf(library, library_octets, "%s:%s", own.library, entry + preload_prefix.size());
        if (size < 0 || static_cast<std::size_t>(size) >= library_octets) return false;
        preload = library;
      }
    }
    if (!replaced) *list++ = entry;
  }
  *list++ = const_cast<char*>(preload);
  for (const char* const one : required) {
    if (*one != '\0') *list++ = const_cast<char*>(one);
  }
  *list = nullptr;
  return true;
}

/// Calls `go` with the environment that the program shall have.
template <class Go>
int with_environment(char* const* given, Go go) noexcept {
  if (standing().reaches_nobody) return go(given);
  char library[2 * PATH_MAX];
  auto* const list = static_cast<char**>(__builtin_alloca((count_of(given) + 5) * sizeof(char*)));
  if (complete(given, list, library, sizeof library)) return go(list);
  errno = E2BIG;
  return -1;
}

int execute(const char* path, char* const* words, char* const* environment) noexcept {
  if (const int error = judge(path); error != 0) {
    errno = error;
    return -1;
  }
  return with_environment(environment, [&](char* const* list) { return libc().execve(path, words, list); });
}

int execute_found(const char* name, char* const* words, char* const* environment) noexcept {
  char room[PATH_MAX];
  const char* const path = std::getenv("PATH");
  const char* const found = sys::find_program(name, path == nullptr ? "/bin:/usr/bin" : path, room, sizeof room);
  if (found != nullptr) {
    if (const int error = judge(found); error != 0) {
      errno = error;
      return -1;
    }
  }
  return with_environment(environment, [&](char* const* list) { return libc().execvpe(name, words, list); });
}

/// The name by which a descriptor's file, or one beneath it, can be looked at.
void name_of_descriptor(int folder, const char* path, char (&room)[PATH_MAX]) noexcept {
  if (path[0] == '/' || folder == AT_FDCWD) {
    (void)std::snprintf(room, sizeof room, "%s", path);
  } else {
    (void)std::snprintf(room, sizeof room, "/proc/self/fd/%d%s%s", folder, path[0] == '\0' ? "" : "/", path);
  }
}

/// The words of a variadic call, up to its nullptr: how many, and then themselves.
std::size_t count_words(va_list words) noexcept {
  std::size_t count = 1;
  while (va_arg(words, char*) != nullptr) ++count;
  return count;
}
void take_words(const char* first, va_list words, char** list) noexcept {
  *list++ = const_cast<char*>(first);
  while ((*list++ = va_arg(words, char*)) != nullptr) {
  }
}

/// For the shell that the C library starts by itself, with the environment of this process.
bool lead_own_children() noexcept {
  const Standing& own = standing();
  if (own.reaches_nobody) return true;
  if (const int error = judge("/bin/sh"); error != 0) {
    errno = error;
    return false;
  }
  const char* const preload = std::getenv("LD_PRELOAD");
  if (preload == nullptr || !names_library(preload, own)) {
    if (::setenv("LD_PRELOAD", own.library_path(), 1) != 0) return false;
  }
  for (const char* const entry : {own.keys_entry, own.proxy_entry, own.lenient_entry}) {
    if (*entry == '\0') continue;
    char name[64]{};
    std::memcpy(name, entry, name_of(entry).size() - 1);
    if (::setenv(name, entry + name_of(entry).size(), 1) != 0) return false;
  }
  return true;
}

}  // namespace
}  // namespace stile::preload::inside

using namespace stile::preload::inside;  // NOLINT: the names below are not ours to choose

extern "C" {

int execve(const char* path, char* const words[], char* const environment[]) noexcept {
  return execute(path, words, environment);
}
int execv(const char* path, char* const words[]) noexcept {
  return execute(path, words, environ);
}
int execvp(const char* name, char* const words[]) noexcept {
  return execute_found(name, words, environ);
}
int execvpe(const char* name, char* const words[], char* const environment[]) noexcept {
  return execute_found(name, words, environment);
}

int execl(const char* path, const char* first, ...) noexcept {
  va_list words;
  va_start(words, first);
  const std::size_t count = count_words(words);
  va_end(words);
  auto* const list = static_cast<char**>(__builtin_alloca((count + 1) * sizeof(char*)));
  va_start(words, first);
  take_words(first, words, list);
  va_end(words);
  return execute(path, list, environ);
}

int execlp(const char* name, const char* first, ...) noexcept {
  va_list words;
  va_start(words, first);
  const std::size_t count = count_words(words);
  va_end(words);
  auto* const list = static_cast<char**>(__builtin_alloca((count + 1) * sizeof(char*)));
  va_start(words, first);
  take_words(first, words, list);
  va_end(words);
  return execute_found(name, list, environ);
}

int execle(const char* path, const char* first, ...) noexcept {
  va_list words;
  va_start(words, first);
  const std::size_t count = count_words(words);
  va_end(words);
  auto* const list = static_cast<char**>(__builtin_alloca((count + 1) * sizeof(char*)));
  va_start(words, first);
  take_words(first, words, list);
  char* const* const environment = va_arg(words, char* const*);
  va_end(words);
  return execute(path, list, environment);
}

int execveat(int folder, const char* path, char* const words[], char* const environment[], int flags) noexcept {
  char room[PATH_MAX];
  name_of_descriptor(folder, path, room);
  if (const int error = judge(room); error != 0) {
    errno = error;
    return -1;
  }
  return with_environment(environment,
                          [&](char* const* list) { return libc().execveat(folder, path, words, list, flags); });
}

int fexecve(int fd, char* const words[], char* const environment[]) noexcept {
  return execveat(fd, "", words, environment, AT_EMPTY_PATH);
}

int posix_spawn(pid_t* child, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const words[], char* const environment[]) {
  if (const int error = judge_spawned(path, actions, path[0] != '/'); error != 0) return error;
  return with_environment(environment, [&](char* const* list) {
    return libc().posix_spawn(child, path, actions, attributes, words, list);
  });
}

int posix_spawnp(pid_t* child, const char* name, const posix_spawn_file_actions_t* actions,
                 const posix_spawnattr_t* attributes, char* const words[], char* const environment[]) {
  char room[PATH_MAX];
  const char* path = std::getenv("PATH");
  if (path == nullptr) path = "/bin:/usr/bin";
  const char* const found = stile::sys::find_program(name, path, room, sizeof room);
  const bool is_relative = std::strchr(name, '/') != nullptr ? name[0] != '/' : has_relative_entry(path);
  if (found != nullptr || (is_relative && starts_elsewhere(actions))) {
    if (const int error = judge_spawned(found == nullptr ? name : found, actions, is_relative); error != 0)
      return error;
  }
  return with_environment(environment, [&](char* const* list) {
    return libc().posix_spawnp(child, name, actions, attributes, words, list);
  });
}

int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t* actions, const char* folder) noexcept {
  changes_folder(*actions) = 1;
  return libc().posix_spawn_addchdir(actions, folder);
}
int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t* actions, int folder) noexcept {
  changes_folder(*actions) = 1;
  return libc().posix_spawn_addfchdir(actions, folder);
}

int system(const char* command) {
  if (lead_own_children()) return libc().system(command);
  return -1;
}

FILE* popen(const char* command, const char* mode) {
  return lead_own_children() ? libc().popen(command, mode) : nullptr;
}

int wordexp(const char* words, wordexp_t* expanded, int flags) {
  return lead_own_children() ? libc().wordexp(words, expanded, flags) : WRDE_NOSPACE;
}
}
