// An operating system's failure as a value. The peer's failures are `Reason`s (reason.h); the programmer's are asserts
// (assert.h). Pure: the errno table itself is sys/errno_table.h.
#pragma once

#include <cstdint>
#include <expected>

namespace stile {

/// What kind of failure a system call reported. Every errno maps to exactly one kind (sys/errno_table.h).
enum class ErrorKind : std::uint8_t {
  would_block,          // try again when the socket is ready
  refused,              // nobody listens there
  reset,                // the peer aborted
  net_unreachable,      // no route
  host_unreachable,     // a route, but the host does not answer
  timed_out,            // the kernel gave up
  not_permitted,        // forbidden by this host's own policy
  address_unavailable,  // no free port, or the address is not ours
  address_in_use,       // somebody else is bound there
  family_unsupported,   // this kernel does not speak the address family
  no_descriptors,       // the process or system limit is reached
  no_memory,            // buffers or memory are exhausted
  message_too_big,      // a datagram exceeds what the path or socket takes
  protocol,             // the far side answered with an error that fits nothing above
  invalid,              // the kernel rejected the arguments (also: blackhole route, missing scope)
  not_found,            // a path or object does not exist
  canceled,             // we ended it ourselves
  other,                // none of the above; os_code tells
};

inline constexpr int error_kind_count = static_cast<int>(ErrorKind::other) + 1;

/// A failed call: what kind, and the errno behind it (0 where no system call was involved).
struct Error {
  ErrorKind kind = ErrorKind::other;
  int os_code = 0;

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = std::expected<T, Error>;

}  // namespace stile
