// What Linux keeps on a socket's error queue (IP_RECVERR, IPV6_RECVERR): ICMP messages about what the socket sent, each
// with its sender. Records of this host's own making are passed over. Only for epoll_*.cc; one thread. Tested by
// tests/conformance and, with real routers, by tests/e2e/replies_test.py and icmp_test.py.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <optional>

#include "base/bytes.h"
#include "base/time.h"
#include "engine/engine.h"

namespace stile::engine::epoll {

struct QueuedError {
  IcmpReport report;
  Error error;
  Endpoint peer;  // where the packet went; unspecified for TCP
  Instant at{};   // when the message arrived, where the socket keeps timestamps
  // Of the packet behind its IP header, what the message quoted, as far as there was room.
  std::size_t quoted = 0;
};

/// The next ICMP record; none where the queue is empty.
[[nodiscard]] std::optional<QueuedError> read_error_queue(int fd, MutableBytes quoted) noexcept;

/// The monotonic instant at which a packet arrived, by its timestamp (SO_TIMESTAMPNS); the present one where it bears
/// none.
[[nodiscard]] Instant arrival_of(const msghdr& message) noexcept;

}  // namespace stile::engine::epoll
