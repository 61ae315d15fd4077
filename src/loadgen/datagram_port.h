// One datagram socket that moves batches, with segmentation offload or without, behind one face.
// Threading: one engine's thread. Tested through the udp mode, by tests/e2e/bench_test.py.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "sys/segmented_udp.h"

namespace stile::loadgen {

inline constexpr std::size_t datagrams_per_batch_max = sys::segments_max;

/// Room for one batch, shared by all ports of a run.
class DatagramRoom {
 public:
  explicit DatagramRoom(std::size_t datagram_octets_max);

  /// Gives each datagram of the batch its room again; `whole` is all of it.
  [[nodiscard]] std::span<engine::Datagram> datagrams() noexcept;
  [[nodiscard]] MutableBytes whole() noexcept { return octets_; }
  [[nodiscard]] std::span<engine::Datagram> split(const sys::Segments& segments) noexcept;

 private:
  std::size_t stride_;
  std::vector<std::uint8_t> octets_;
  std::array<engine::Datagram, datagrams_per_batch_max> datagrams_;
};

class DatagramPort {
 public:
  explicit DatagramPort(engine::EpollEngine& engine) noexcept : engine_(engine) {}

  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    socket_.bind<Method>(owner);
  }

  /// Where it is bound.
  [[nodiscard]] Result<Endpoint> open(const Endpoint& local, bool offload);
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
  void wait(engine::Interest interest) { engine_.wait(socket_, interest); }

  /// One batch, in `room`. Immediate.
  [[nodiscard]] Result<std::span<engine::Datagram>> receive(DatagramRoom& room);
  /// Sends front to back and says how many went; where none did, why. With offload, datagrams of one size and peer
  /// that lie behind each other go in one call.
  [[nodiscard]] Result<std::size_t> send(std::span<const engine::Datagram> datagrams);

 private:
  [[nodiscard]] Result<std::size_t> send_run(std::span<const engine::Datagram> datagrams);

  engine::EpollEngine& engine_;
  engine::Socket socket_;
  sys::UniqueFd segmented_;  // with offload: the socket's descriptor is this one's
};

}  // namespace stile::loadgen
