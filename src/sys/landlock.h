// Which files a thread, and the threads and programs that it starts from then on, may open: Linux' Landlock. What is
// granted is granted beneath a folder or for one file; layers add up, so that a thread may only lose. What is open
// already stays open, and looking at a file's status stays possible. Refuses: running programs, whatever is granted.
// Threading: for the calling thread alone. Tested in landlock_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

namespace stile::sys {

enum class FileUse : std::uint8_t {
  read,     // a file, or those of a folder
  write,    // those of a folder: they are read, written, made and removed
  sockets,  // Unix-domain ones are made in the folder, and removed
};

struct FileGrant {
  std::string path;
  FileUse use = FileUse::read;

  friend bool operator==(const FileGrant&, const FileGrant&) = default;
};

/// Beyond files: whether a thread may reach processes outside by other ways, where the kernel knows to tell.
enum class Contact : std::uint8_t {
  all,
  own_process,  // no abstract Unix-domain sockets of others, and no signals to them
};

/// Version of what the kernel offers; 0: it has no Landlock, or it was not enabled.
[[nodiscard]] int landlock_version() noexcept;

/// Needs `forbid_new_privileges` (sys/privileges.h). A path that is not there is passed over. Fails as not_found where
/// there is no Landlock.
[[nodiscard]] Result<void> confine_files(std::span<const FileGrant> grants, Contact contact) noexcept;

}  // namespace stile::sys
