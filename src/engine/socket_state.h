// An engine's view of the private fields of Socket. Only engines include this.
#pragma once

#include "engine/engine.h"

namespace stile::engine {

class SocketState {
 public:
  static Operation& operation(Socket& socket) noexcept { return socket.operation_; }
  static int& handle(Socket& socket) noexcept { return socket.handle_; }
  static Interest& interest(Socket& socket) noexcept { return socket.interest_; }
  static std::uint8_t& ready(Socket& socket) noexcept { return socket.ready_; }
  static std::uint8_t ready(const Socket& socket) noexcept { return socket.ready_; }
  static std::uint8_t& flags(Socket& socket) noexcept { return socket.flags_; }
  static std::uint8_t& failure(Socket& socket) noexcept { return socket.failure_; }
  static std::uint8_t failure(const Socket& socket) noexcept { return socket.failure_; }

  /// Remembers the first error that ended the stream: the kernel tells it once, to whichever call comes first, and
  /// reports a FIN afterwards.
  static void note_failure(Socket& socket, ErrorKind kind) noexcept {
    if (socket.failure_ == 0) socket.failure_ = static_cast<std::uint8_t>(static_cast<int>(kind) + 1);
  }
  /// Only where a failure was noted.
  static Error failure_error(const Socket& socket) noexcept {
    return Error{static_cast<ErrorKind>(socket.failure_ - 1), 0};
  }
  /// True for errors that end a stream, false for those that a later call may not meet again.
  static bool ends_stream(ErrorKind kind) noexcept {
    return kind != ErrorKind::would_block && kind != ErrorKind::no_memory && kind != ErrorKind::no_descriptors &&
           kind != ErrorKind::message_too_big && kind != ErrorKind::invalid;
  }

  /// Everything but the operation goes from `from` to `to`.
  static void move(Socket& from, Socket& to) noexcept {
    to.handle_ = from.handle_;
    to.ready_ = from.ready_;
    to.flags_ = from.flags_;
    to.failure_ = from.failure_;
    clear(from);
  }
  static void clear(Socket& socket) noexcept {
    socket.handle_ = -1;
    socket.interest_ = Interest::none;
    socket.ready_ = 0;
    socket.flags_ = 0;
    socket.failure_ = 0;
  }
};

}  // namespace stile::engine
