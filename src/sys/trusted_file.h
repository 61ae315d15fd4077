// Configuration files: read only when nobody but their owner could have written them (threat TM2). Refuses files and
// folders that the group or others may write, links that leave the file's own folder, and what is not a regular file.
// A secret is refused as well where others than its owner and group may read it.
// A sticky folder such as /tmp is taken: there nobody may replace another's file. Blocking, for any thread.
// Tested in trusted_file_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>

namespace stile::sys {

/// Why a file was not read, and what to do about it; either may be shown to the operator.
struct FileRefusal {
  std::string why;
  std::string cure;  // may be empty
};

enum class Secrecy : std::uint8_t { none, secret };

/// The whole content of a regular file of at most `octets_max` octets.
[[nodiscard]] std::expected<std::string, FileRefusal> read_trusted_file(const std::string& path, std::size_t octets_max,
                                                                        Secrecy secrecy = Secrecy::none);

}  // namespace stile::sys
