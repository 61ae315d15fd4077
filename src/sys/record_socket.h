// Whole records between two processes of this program: Unix-domain seqpacket sockets, a pair of them or two that met at
// a path, where one send is one receive and the end of the other process is seen. Nothing blocks. Refuses: records that
// do not fit the receiver's buffer, as a whole. Threading: a descriptor may be used by one thread that sends and one
// that receives. Tested in record_socket_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

struct RecordPair {
  UniqueFd here;
  UniqueFd there;
};
[[nodiscard]] Result<RecordPair> record_pair() noexcept;

/// To whoever listens at the path. would_block where more wait there than it has room for.
[[nodiscard]] Result<UniqueFd> connect_records(const std::string& path) noexcept;
/// Whoever knows the name may connect (unix(7), abstract names: of this network namespace, no file, free again as soon
/// as it is closed). Fails as address_in_use where somebody has it.
[[nodiscard]] Result<UniqueFd> listen_records(std::string_view abstract_name) noexcept;
/// The next one who has connected; would_block where nobody waits.
[[nodiscard]] Result<UniqueFd> accept_records(int listening) noexcept;
/// Which user connected, as the kernel saw it then (SO_PEERCRED).
[[nodiscard]] std::optional<std::uint32_t> peer_user(int descriptor) noexcept;

/// The process that connected: its number, and a descriptor that is readable once it has ended.
struct PeerProcess {
  int id = 0;
  UniqueFd watch;
};
[[nodiscard]] Result<PeerProcess> peer_process(int descriptor) noexcept;

/// would_block where the other side does not read; reset where it is gone.
[[nodiscard]] Result<void> send_record(int descriptor, ConstBytes record) noexcept;

/// A record of its own: a descriptor (SCM_RIGHTS, unix(7)), which stays open here as well, or why there is none.
[[nodiscard]] Result<void> send_descriptor(int descriptor, const Result<UniqueFd>& what) noexcept;
/// What was sent so. would_block where no record waits; reset where the other side is gone; no_descriptors where it is
/// lost for want of one; invalid where the record is another.
[[nodiscard]] Result<UniqueFd> receive_descriptor(int descriptor) noexcept;

/// How many octets the next record has, which are in `buffer`. would_block where none waits; reset where the other side
/// is gone; message_too_big where it did not fit, and is lost.
[[nodiscard]] Result<std::size_t> receive_record(int descriptor, MutableBytes buffer) noexcept;

}  // namespace stile::sys
