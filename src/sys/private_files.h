// What a process, and all that it starts, sees of some files and folders in place of what is there: in a mount
// namespace of its own, by mounts that nobody else sees (mount_namespaces(7)). Nothing on disk is touched. Blocking;
// for a process of one thread that has every right in its user namespace. Tested in private_network_test.cc.
#pragma once

#include <span>
#include <string>

#include "base/error.h"

namespace stile::sys {

struct PrivateFile {
  std::string path;  // a link's target is what is covered; where nothing is there, nothing is done
  std::string text;
};

/// From now on the files have these texts (of one that is named twice, the first), for reading only, and the folders, where they are there, are empty but for
/// the files that are in them.
[[nodiscard]] Result<void> see_private_files(std::span<const PrivateFile> files, std::span<const std::string> folders);

}  // namespace stile::sys
