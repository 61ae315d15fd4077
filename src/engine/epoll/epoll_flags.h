// The meaning of Socket's engine-owned bits under epoll. Only for epoll_*.cc.
#pragma once

#include <cstdint>

#include "engine/socket_state.h"

namespace stile::engine::epoll {

// SocketState::ready. The first two equal Interest's bits.
inline constexpr std::uint8_t readable = 1;
inline constexpr std::uint8_t writable = 2;
inline constexpr std::uint8_t error = 4;  // EPOLLERR on a stream
// A short read does not prove that the socket is drained: a FIN or reset may stand behind the octets, told by the same
// edge, and a read stops short at the mark of urgent data. Never cleared.
inline constexpr std::uint8_t short_read_proves_nothing = 8;
inline constexpr std::uint8_t reports = 16;  // EPOLLERR on another socket: its error queue may hold something

static_assert(readable == static_cast<std::uint8_t>(Interest::readable));
static_assert(writable == static_cast<std::uint8_t>(Interest::writable));

// SocketState::flags
inline constexpr std::uint8_t registered = 1;
inline constexpr std::uint8_t stream = 2;  // connected, connecting or accepted
inline constexpr std::uint8_t connecting = 4;
inline constexpr std::uint8_t adopted = 8;  // the descriptor is not ours
inline constexpr std::uint8_t icmp = 16;
inline constexpr std::uint8_t v6 = 32;  // of icmp, and of a stream that connects
inline constexpr std::uint8_t listening = 64;
inline constexpr std::uint8_t muted = 128;         // of listening: epoll tells nothing of it until the next wait
inline constexpr std::uint8_t told_of_room = 128;  // of a datagram socket: registered for EPOLLOUT as well

/// A registered socket whose cache says that nothing arrived since the last read would block: an edge will tell. Spares
/// the read that only finds out.
[[nodiscard]] inline bool known_drained(const Socket& socket, std::uint8_t socket_flags) noexcept {
  return (socket_flags & registered) != 0 && (SocketState::ready(socket) & (readable | error)) == 0;
}

inline void set(std::uint8_t& bits, std::uint8_t which) noexcept {
  bits = static_cast<std::uint8_t>(bits | which);
}
inline void clear(std::uint8_t& bits, std::uint8_t which) noexcept {
  bits = static_cast<std::uint8_t>(bits & ~which);
}

}  // namespace stile::engine::epoll
