// What a program that did not make a descriptor, and has it handed over, expects of it; and what can be told of one
// that it made itself. On bare descriptors; any thread. Tested in handed_socket_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// From now on its calls wait, or do not.
[[nodiscard]] Result<void> set_blocking(int fd, bool blocking) noexcept;

/// Both ends of a TCP connection within this host, which nobody else has: FIN, RST and the options of TCP are those of
/// any connection, as they are not between Unix-domain sockets. Neither end blocks.
struct StreamPair {
  UniqueFd one;
  UniqueFd other;
};
[[nodiscard]] Result<StreamPair> loopback_pair() noexcept;

/// Which socket a descriptor is for, whatever its number: the same for its duplicates, another's for one that was
/// closed and opened anew. Absent: it is no open descriptor.
using SocketIdentity = std::pair<std::uint64_t, std::uint64_t>;
[[nodiscard]] std::optional<SocketIdentity> identity_of(int fd) noexcept;

enum class SocketKind : std::uint8_t { stream, datagram };
/// Of the Internet's sockets; none of another's.
[[nodiscard]] std::optional<SocketKind> internet_kind_of(int fd) noexcept;

/// `onto` becomes another descriptor of what `fd` is, and keeps its own flags (O_NONBLOCK, close-on-exec).
[[nodiscard]] Result<void> put_onto(int fd, int onto) noexcept;
/// Whether calls on it do not wait.
[[nodiscard]] bool is_non_blocking(int fd) noexcept;

}  // namespace stile::sys
