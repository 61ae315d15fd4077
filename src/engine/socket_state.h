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
};

}  // namespace stile::engine
