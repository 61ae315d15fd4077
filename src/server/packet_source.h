// Sends whole packets in the name of any host (sys::open_packet_source): those that the way does not take in one piece
// leave in fragments. What does not go is lost, as in any network. Threading: one thread. Tested in
// tests/e2e/gateway_test.py.
#pragma once

#include <cstdint>
#include <utility>

#include "base/address.h"
#include "base/bytes.h"
#include "sys/unique_fd.h"

namespace stile::server {

class PacketSource {
 public:
  explicit PacketSource(sys::UniqueFd fd) noexcept : fd_(std::move(fd)) {}

  [[nodiscard]] bool is_open() const noexcept { return fd_.is_open(); }
  /// Made by wire/ip_packet.h.
  void send(const Address& to, ConstBytes packet) const;

 private:
  sys::UniqueFd fd_;
  mutable std::uint32_t identification_ = 0;  // of the packet that was last sent in fragments
};

}  // namespace stile::server
