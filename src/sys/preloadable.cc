#include "sys/preloadable.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "sys/retry.h"
#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

using ElfHeader = ElfW(Ehdr);
using ProgramHeader = ElfW(Phdr);

constexpr int scripts_deep_max = 5;        // as the kernel's own bound
constexpr std::size_t headers_max = 128;   // of a program; compilers make a dozen
constexpr std::size_t path_octets = 4096;  // of the loader, or of a script's first line
constexpr std::size_t notes_octets = 1024;

template <class Into>
bool read_at(int fd, Into& into, std::uint64_t offset) noexcept {
  const auto count = retry([&] { return ::pread(fd, &into, sizeof into, static_cast<off_t>(offset)); });
  return count == static_cast<ssize_t>(sizeof into);
}

std::size_t read_some_at(int fd, std::span<char> into, std::uint64_t offset) noexcept {
  const auto count = retry([&] { return ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset)); });
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

/// The loader of this program, as its file names it, and its format.
struct OwnLoader {
  const char* path = nullptr;
  const ElfHeader* header = nullptr;
};
OwnLoader look_for_own_loader() noexcept {
  OwnLoader own;
  own.header = reinterpret_cast<const ElfHeader*>(::getauxval(AT_BASE));
  if (own.header == nullptr) return own;  // a static program
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* data) {
        auto& found = *static_cast<OwnLoader*>(data);
        if (object->dlpi_addr != reinterpret_cast<ElfW(Addr)>(found.header)) return 0;
        found.path = object->dlpi_name;
        return 1;
      },
      &own);
  return own;
}
const OwnLoader& own_loader() noexcept {
  static const OwnLoader own = look_for_own_loader();
  return own;
}

bool is_same_file(const char* one, const char* other) noexcept {
  struct stat a{};
  struct stat b{};
  return ::stat(one, &a) == 0 && ::stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool gains_rights(int fd, const struct stat& file) noexcept {
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return false;
  if ((file.st_mode & S_ISUID) != 0 && file.st_uid != ::getuid()) return true;
  if ((file.st_mode & S_ISGID) != 0 && (file.st_mode & S_IXGRP) != 0 && file.st_gid != ::getgid()) return true;
  return ::getuid() != 0 && ::fgetxattr(fd, "security.capability", nullptr, 0) > 0;
}

/// One of its notes is from Go's linker. They are small; what is cut off here is no program's of Go.
bool is_note_of_go(int fd, const ProgramHeader& header) noexcept {
  std::array<char, notes_octets> room{};
  const std::size_t octets = read_some_at(fd, room, header.p_offset);
  std::size_t at = 0;
  ElfW(Nhdr) note{};
  while (octets - at >= sizeof note) {
    std::memcpy(&note, room.data() + at, sizeof note);
    at += sizeof note;
    if (note.n_namesz == 4 && octets - at >= 4 && std::memcmp(room.data() + at, "Go\0", 4) == 0) return true;
    const std::uint64_t behind =
        at + (std::uint64_t{note.n_namesz} + 3) / 4 * 4 + (std::uint64_t{note.n_descsz} + 3) / 4 * 4;
    if (behind > octets) return false;
    at = behind;
  }
  return false;
}

Preloadable judge_elf(int fd, const char* path, const ElfHeader& header, const struct stat& file) noexcept {
  const OwnLoader& own = own_loader();
  if (own.path == nullptr) return Preloadable::other_loader;
  const bool alike = header.e_ident[EI_CLASS] == own.header->e_ident[EI_CLASS] &&
                     header.e_ident[EI_DATA] == own.header->e_ident[EI_DATA] &&
                     header.e_machine == own.header->e_machine && header.e_phentsize == sizeof(ProgramHeader);
  if (!alike) return Preloadable::other_loader;
  if (header.e_phnum > headers_max) return Preloadable::other_loader;
  bool has_loader = false;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    ProgramHeader one{};
    if (!read_at(fd, one, header.e_phoff + i * sizeof one)) return Preloadable::unknown;
    if (one.p_type == PT_NOTE && is_note_of_go(fd, one)) return Preloadable::go;
    if (one.p_type != PT_INTERP) continue;
    std::array<char, path_octets> loader{};
    if (one.p_filesz >= loader.size()) return Preloadable::other_loader;
    (void)read_some_at(fd, std::span(loader).first(one.p_filesz), one.p_offset);
    if (!is_same_file(loader.data(), own.path)) return Preloadable::other_loader;
    has_loader = true;
  }
  // Somebody may execute the loader itself, and name the program to it.
  if (!has_loader && !is_same_file(path, own.path)) return Preloadable::is_static;
  return gains_rights(fd, file) ? Preloadable::gains_rights : Preloadable::yes;
}

/// The interpreter's path, of a script's first line (execve(2)); false where there is none.
bool interpreter_of(std::span<char> line) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  auto begin = std::find_if_not(line.begin() + 2, line.end(), blank);
  const auto end = std::find_if(begin, line.end(), [&](char c) { return blank(c) || c == '\n' || c == '\0'; });
  if (begin == end || end == line.end()) return false;
  *std::copy(begin, end, line.begin()) = '\0';
  return true;
}

}  // namespace

void prepare_preloadable() noexcept {
  (void)own_loader();
}

std::string_view words(Preloadable answer) noexcept {
  switch (answer) {
    case Preloadable::is_static:
      return "a static program";
    case Preloadable::other_loader:
      return "a program of another libc or machine";
    case Preloadable::go:
      return "a Go program";
    case Preloadable::gains_rights:
      return "a program that gains rights (set-user-ID, set-group-ID or capabilities)";
    case Preloadable::yes:
    case Preloadable::unknown:
      break;
  }
  return {};
}

Preloadable preloadable(const char* path) noexcept {
  std::array<char, path_octets> line{};
  for (int deep = 0; deep < scripts_deep_max; ++deep) {
    const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat file{};
    ElfHeader header{};
    if (!fd.is_open() || ::fstat(fd.get(), &file) != 0) {
      // What may be executed and not read may be anything.
      return ::access(path, X_OK) == 0 ? Preloadable::other_loader : Preloadable::unknown;
    }
    if (!S_ISREG(file.st_mode)) return Preloadable::unknown;
    if (read_at(fd.get(), header, 0) && std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0) {
      return judge_elf(fd.get(), path, header, file);
    }
    const std::size_t octets = read_some_at(fd.get(), std::span(line).first(line.size() - 1), 0);
    if (octets < 3 || line[0] != '#' || line[1] != '!') {
      // What is text a shell runs; for all else the system may have a loader of its own (binfmt_misc).
      return std::memchr(line.data(), '\0', octets) == nullptr ? Preloadable::unknown : Preloadable::other_loader;
    }
    line[octets] = '\0';
    if (!interpreter_of(std::span(line).first(octets + 1))) return Preloadable::unknown;
    path = line.data();
  }
  return Preloadable::unknown;
}

const char* find_program(const char* name, const char* path, char* room, std::size_t octets) noexcept {
  const std::string_view file(name);
  if (file.find('/') != std::string_view::npos) return name;
  std::string_view rest(path);
  while (!file.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    if (folder.size() + file.size() + 2 <= octets) {
      char* end = std::copy(folder.begin(), folder.end(), room);
      if (!folder.empty()) *end++ = '/';
      *std::copy(file.begin(), file.end(), end) = '\0';
      struct stat found{};
      if (::stat(room, &found) == 0 && S_ISREG(found.st_mode) && ::access(room, X_OK) == 0) return room;
    }
    if (folder.size() == rest.size()) break;
    rest.remove_prefix(folder.size() + 1);
  }
  return nullptr;
}

}  // namespace stile::sys
