// Datagram sockets with segmentation offload (UDP_SEGMENT, UDP_GRO; Linux 5.0): many datagrams of one size and one peer
// pass the kernel in one call. On bare descriptors; any thread. Tested in segmented_udp_test.cc.
#pragma once

#include <cstddef>

#include "base/address.h"
#include "base/bytes.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// What the kernel takes at most in one call: UDP_MAX_SEGMENTS of Linux 6.1, and one datagram's length field.
inline constexpr std::size_t segments_max = 64;
inline constexpr std::size_t segmented_octets_max = 65'507;

/// Datagrams of one sender, each `segment` octets long; the last one may be shorter.
struct Segments {
  Endpoint peer;
  std::size_t octets = 0;
  std::size_t segment = 0;
};

/// A non-blocking socket that is bound and coalesces what it receives. IPv6 sockets are V6ONLY.
[[nodiscard]] Result<UniqueFd> open_segmented_udp(const Endpoint& local) noexcept;
/// Sends `octets` as datagrams of `segment` octets (more than 0): all of them or none. Within the bounds above.
[[nodiscard]] Result<void> send_segments(int fd, const Endpoint& peer, ConstBytes octets, std::size_t segment) noexcept;
/// `room` is best 64 KiB long: what does not fit is lost.
[[nodiscard]] Result<Segments> receive_segments(int fd, MutableBytes room) noexcept;

}  // namespace stile::sys
