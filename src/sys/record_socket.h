// Whole records between two processes of this program: a pair of Unix-domain seqpacket sockets, where one send is one
// receive and the end of the other process is seen. Nothing blocks. Refuses: records that do not fit the receiver's
// buffer, as a whole. Threading: a descriptor may be used by one thread that sends and one that receives. Tested in
// record_socket_test.cc.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

struct RecordPair {
  UniqueFd here;
  UniqueFd there;
};
[[nodiscard]] Result<RecordPair> record_pair() noexcept;

/// would_block where the other side does not read; reset where it is gone.
[[nodiscard]] Result<void> send_record(int descriptor, ConstBytes record) noexcept;

/// How many octets the next record has, which are in `buffer`. would_block where none waits; reset where the other side
/// is gone; message_too_big where it did not fit, and is lost.
[[nodiscard]] Result<std::size_t> receive_record(int descriptor, MutableBytes buffer) noexcept;

}  // namespace stile::sys
