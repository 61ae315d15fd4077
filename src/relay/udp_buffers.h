// The room through which all datagrams of a worker pass, one batch at a time: an association that is idle holds none of
// it. A received payload has free octets in front, so that a header is put before it, as one is taken off, without
// copying the payload.
// Threading: one engine's thread; valid until the next batch. Tested through udp_association_test.cc.
#pragma once

#include <algorithm>
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
  /// `head` goes in front of `payload`, which alone counts.
  void add(const Endpoint& to, ConstBytes head, MutableBytes payload) noexcept {
    STILE_ASSERT(!full());
    engine::Datagram& datagram = datagrams_[count_++];
    datagram.peer = to;
    datagram.payload = payload;
    datagram.head = head;
  }
  [[nodiscard]] bool full() const noexcept { return count_ == datagrams_.size(); }
  [[nodiscard]] std::span<const engine::Datagram> datagrams() const noexcept {
    return std::span(datagrams_).first(count_);
  }
  void clear() noexcept { count_ = 0; }

 private:
  std::array<engine::Datagram, limits::udp_sends_pending_max> datagrams_;
  std::size_t count_ = 0;
};

/// The datagrams of one that was received: itself, or those of a train.
template <class Act>
void for_each_datagram(const engine::Datagram& received, const Act& act) {
  MutableBytes rest = received.payload;
  while (received.segment != 0 && rest.size() > received.segment) {
    act(rest.first(received.segment));
    rest = rest.subspan(received.segment);
  }
  act(rest);
}

[[nodiscard]] inline std::size_t datagrams_in(const engine::Datagram& received) noexcept {
  return received.segment == 0 ? 1 : (received.payload.size() + received.segment - 1) / received.segment;
}

class UdpBuffers {
 public:
  UdpBuffers() : octets_(std::make_unique_for_overwrite<std::uint8_t[]>(slot_octets * slots_.size())) {}

  /// Room for one batch; what the one before held is lost.
  [[nodiscard]] std::span<engine::Datagram> receive_room() noexcept {
    for (std::size_t i = 0; i < slots_offered_; ++i) {
      slots_[i].payload =
          MutableBytes(octets_.get() + i * slot_octets, slot_octets).subspan(headroom, limits::udp_train_octets_max);
    }
    return std::span(slots_).first(slots_offered_);
  }

  /// Behind long trains the next batch has room for fewer, so that it stays in the cache between its way in and its way
  /// out.
  void suit(std::span<const engine::Datagram> received) noexcept {
    std::size_t longest = 1;
    for (const engine::Datagram& one : received) longest = std::max(longest, one.payload.size());
    slots_offered_ = std::clamp(limits::udp_batch_octets / longest, limits::udp_batch_trains_min, slots_.size());
  }

  /// `header`, moved to where it stands before a payload that was received here.
  [[nodiscard]] static ConstBytes header_before(ConstBytes header, MutableBytes payload) noexcept {
    STILE_ASSERT(header.size() <= headroom);
    std::uint8_t* const front = payload.data() - header.size();
    std::memcpy(front, header.data(), header.size());
    return {front, header.size()};
  }

  /// Room for the headers of ways through other proxies, until `forget_heads`; empty where there is none left.
  [[nodiscard]] MutableBytes head_room(std::size_t octets) noexcept {
    if (heads_ == nullptr) heads_ = std::make_unique_for_overwrite<std::uint8_t[]>(limits::udp_way_heads_octets_max);
    if (octets > limits::udp_way_heads_octets_max - heads_used_) return {};
    heads_used_ += octets;
    return {heads_.get() + heads_used_ - octets, octets};
  }
  /// No datagram that is still to be sent has one of them.
  void forget_heads() noexcept { heads_used_ = 0; }

  /// To targets, by family; and to the client.
  [[nodiscard]] SendList& up(Family family) noexcept { return up_[static_cast<std::size_t>(family)]; }
  [[nodiscard]] SendList& down() noexcept { return down_; }

 private:
  static constexpr std::size_t headroom = 64;  // a line of the cache, so that payloads begin with one
  static_assert(headroom >= wire::udp_answer_header_octets_max);
  // Datagrams of one packet's length do not lie at the same place of their pages: they would share few sets of the
  // cache.
  static constexpr std::size_t spacing = std::size_t{22} * 64;
  static constexpr std::size_t slot_octets = headroom + 65'536 + spacing;

  std::array<engine::Datagram, limits::udp_batch_datagrams_max> slots_;
  std::size_t slots_offered_ = limits::udp_batch_datagrams_max;
  std::unique_ptr<std::uint8_t[]> octets_;  // touched only as far as datagrams are long
  std::unique_ptr<std::uint8_t[]> heads_;   // from the first way on
  std::size_t heads_used_ = 0;
  std::array<SendList, 2> up_;
  SendList down_;
};

}  // namespace stile::relay
