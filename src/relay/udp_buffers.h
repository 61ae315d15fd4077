// The room through which all datagrams of a worker pass, one batch at a time: an association that is idle holds none of
// it. A received payload has free octets in front, so that a header is put before it, as one is taken off, without
// copying the payload.
// Threading: one engine's thread; valid until the next batch. Tested through udp_association_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "base/assert.h"
#include "base/limits.h"
#include "engine/engine.h"
#include "wire/udp_header.h"

namespace stile::relay {

/// Datagrams that leave through one socket, in order.
class SendList {
 public:
  /// `octets`: how many of them are payload, for the account.
  void add(const Endpoint& to, MutableBytes datagram, std::size_t octets) noexcept {
    STILE_ASSERT(count_ < datagrams_.size());
    datagrams_[count_].peer = to;
    datagrams_[count_].payload = datagram;
    payload_octets_[count_] = octets;
    ++count_;
  }
  [[nodiscard]] std::span<const engine::Datagram> datagrams() const noexcept {
    return std::span(datagrams_).first(count_);
  }
  [[nodiscard]] std::size_t payload_octets(std::size_t index) const noexcept { return payload_octets_[index]; }
  void clear() noexcept { count_ = 0; }

 private:
  std::array<engine::Datagram, limits::udp_batch_datagrams_max> datagrams_;
  std::array<std::size_t, limits::udp_batch_datagrams_max> payload_octets_;
  std::size_t count_ = 0;
};

class UdpBuffers {
 public:
  UdpBuffers() : octets_(std::make_unique_for_overwrite<std::uint8_t[]>(slot_octets * slots_.size())) {}

  /// Room for one batch; what the one before held is lost.
  [[nodiscard]] std::span<engine::Datagram> receive_room() noexcept {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      slots_[i].payload = MutableBytes(octets_.get() + i * slot_octets, slot_octets).subspan(headroom);
    }
    return slots_;
  }

  /// Puts `header` before a payload that was received here.
  [[nodiscard]] static MutableBytes with_header(ConstBytes header, MutableBytes payload) noexcept {
    STILE_ASSERT(header.size() <= headroom);
    std::uint8_t* const front = payload.data() - header.size();
    std::memcpy(front, header.data(), header.size());
    return {front, header.size() + payload.size()};
  }

  /// To targets, by family; and to the client.
  [[nodiscard]] SendList& up(Family family) noexcept { return up_[static_cast<std::size_t>(family)]; }
  [[nodiscard]] SendList& down() noexcept { return down_; }

 private:
  static constexpr std::size_t headroom = wire::udp_answer_header_octets_max;
  // No datagram is longer than its 16-bit length says, so none is ever cut short.
  static constexpr std::size_t slot_octets = headroom + 65'536;

  std::array<engine::Datagram, limits::udp_batch_datagrams_max> slots_;
  std::unique_ptr<std::uint8_t[]> octets_;  // touched only as far as datagrams are long
  std::array<SendList, 2> up_;
  SendList down_;
};

}  // namespace stile::relay
