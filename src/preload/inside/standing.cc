#include "preload/inside/standing.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "preload/inside/libc.h"
#include "preload/proxy_variables.h"
#include "sys/preloadable.h"
#include "sys/random_octets.h"

extern "C" char** environ;

namespace stile::preload::inside {
namespace {

constexpr std::string_view preload_variable = "LD_PRELOAD";

/// "NAME=VALUE" into the room; false where it does not fit.
template <std::size_t size>
bool put(char (&room)[size], std::string_view name, std::string_view value) noexcept {
  if (name.size() + 1 + value.size() + 1 > size) return false;
  char* at = room;
  std::memcpy(at, name.data(), name.size());
  at += name.size();
  *at++ = '=';
  std::memcpy(at, value.data(), value.size());
  at[value.size()] = '\0';
  return true;
}

std::string_view variable(const char* name) noexcept {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

/// The first of a list as ld.so(8) reads it, which is taken away.
std::string_view take_one(std::string_view& list) noexcept {
  const std::size_t end = list.find_first_of(": ");
  const std::string_view one = list.substr(0, end);
  list = end == std::string_view::npos ? std::string_view() : list.substr(end + 1);
  return one;
}

/// Where this library lies, whatever LD_PRELOAD calls it.
bool find_library(Standing& own) noexcept {
  Dl_info info{};
  char path[PATH_MAX];
  if (::dladdr(reinterpret_cast<const void*>(&standing), &info) == 0) return false;
  if (::realpath(info.dli_fname, path) == nullptr) return false;
  return put(own.library, preload_variable, path);
}

bool find_executable(Standing& own) noexcept {
  const std::string_view library = own.library_path();
  const std::string_view folder = library.substr(0, library.rfind('/'));
  for (const std::string_view place : {std::string_view("/stile"), std::string_view(STILE_EXECUTABLE_FROM_LIBRARY)}) {
    if (folder.size() + place.size() + 1 > sizeof own.executable) continue;
    std::memcpy(own.executable, folder.data(), folder.size());
    std::memcpy(own.executable + folder.size(), place.data(), place.size());
    own.executable[folder.size() + place.size()] = '\0';
    if (::access(own.executable, X_OK) == 0) return true;
  }
  own.executable[0] = '\0';
  return false;
}

/// The library itself, in front of what was asked for besides, but for the name that it was asked for by.
void put_library_in_order(const Standing& own) noexcept {
  const std::string_view asked = variable(preload_variable.data());
  if (names_library(asked, own)) return;
  char value[2 * PATH_MAX];
  std::size_t at = std::strlen(own.library_path());
  std::memcpy(value, own.library_path(), at);
  for (std::string_view rest = asked; !rest.empty();) {
    const std::string_view one = take_one(rest);
    if (one.empty() || one.ends_with(library_file) || at + one.size() + 2 > sizeof value) continue;
    value[at++] = ':';
    std::memcpy(value + at, one.data(), one.size());
    at += one.size();
  }
  value[at] = '\0';
  (void)::setenv(preload_variable.data(), value, 1);
}

/// As conventions have it: the first of these that is set. None of them stays, for programs to follow by themselves.
void put_proxy_in_order() noexcept {
  for (const char* const name : proxy_names) {
    const std::string_view value = variable(name);
    if (value.empty()) continue;
    (void)::setenv(own_proxy_name, value.data(), 1);
    break;
  }
  for (char** entry = environ; entry != nullptr && *entry != nullptr;) {
    const std::string_view whole(*entry);
    const std::string_view name = whole.substr(0, whole.find('='));
    char text[64];
    if (name == own_proxy_name || name.size() >= sizeof text || !names_a_proxy(name)) {
      ++entry;
      continue;
    }
    std::memcpy(text, name.data(), name.size());
    text[name.size()] = '\0';
    if (::unsetenv(text) != 0) ++entry;  // else what followed stands here
  }
}

/// io_uring connects and sends by itself, past every function (threat TW2): there is none from here on. It has one
/// number on all machines; x32 sets a bit in it.
void forbid_io_uring() noexcept {
  constexpr std::uint32_t setup = 425;
  constexpr std::uint32_t x32_bit = 0x40000000;
  if (libc().syscall(setup, 0, nullptr) != -1 || errno == ENOSYS) return;
  std::array<sock_filter, 5> filter{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_ALU | BPF_AND | BPF_K, 0, 0, ~x32_bit},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, setup},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  // Programs that would gain rights are refused in any case.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return;
  (void)::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

bool choose_keys(Standing& own) noexcept {
  char text[keys_text_octets + 1]{};
  if (const auto keys = parse_keys(variable(keys_variable))) {
    own.keys = *keys;
  } else {
    for (Key* const key : {&own.keys.name, &own.keys.proof}) {
      if (!sys::fill_randomly(*key)) return false;
    }
    put_proxy_in_order();
  }
  write_keys(own.keys, text);
  (void)::setenv(keys_variable, text, 1);
  return put(own.keys_entry, keys_variable, text);
}

Standing take_stand() noexcept {
  Standing own;
  if (::getauxval(AT_SECURE) != 0 || !find_library(own) || !choose_keys(own)) {
    own.reaches_nobody = true;
    return own;
  }
  put_library_in_order(own);
  const std::string_view proxy = variable(own_proxy_name);
  own.may_start = !proxy.empty() && put(own.proxy_entry, own_proxy_name, proxy) && find_executable(own);
  own.lenient = !variable(lenient_variable).empty();
  if (own.lenient) {
    (void)put(own.lenient_entry, lenient_variable, "1");
  } else {
    forbid_io_uring();
  }
  return own;
}

[[gnu::constructor]] void begin() {
  const int before = errno;
  (void)libc();
  (void)standing();
  sys::prepare_preloadable();
  errno = before;
}

}  // namespace

bool names_library(std::string_view preload, const Standing& own) noexcept {
  while (!preload.empty()) {
    if (take_one(preload) == own.library_path()) return true;
  }
  return false;
}

const Standing& standing() noexcept {
  static const Standing own = take_stand();
  return own;
}

}  // namespace stile::preload::inside
