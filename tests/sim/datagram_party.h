// Somebody with a datagram socket in the simulated town: sends when told to, hands on whatever comes. A bystander.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "engine/sim/sim_engine.h"

namespace stile::sim_test {

class DatagramParty {
 public:
  using Listener = std::function<void(const Endpoint& from, const std::string& octets)>;

  DatagramParty(engine::SimEngine& engine, const Endpoint& at, Listener listener)
      : engine_(engine), listener_(std::move(listener)) {
    const engine::SimEngine::Bystander bystander(engine_);
    socket_.bind<&DatagramParty::on_ready>(this);
    STILE_ASSERT(engine_.open_udp(socket_, at).has_value());
    where_ = *engine_.local_endpoint(socket_);
    engine_.wait(socket_, engine::Interest::readable);
  }
  DatagramParty(const DatagramParty&) = delete;
  DatagramParty& operator=(const DatagramParty&) = delete;

  void send(const Endpoint& to, std::string octets) {
    if (!socket_.is_open()) return;
    const engine::SimEngine::Bystander bystander(engine_);
    const std::array datagrams{
        engine::Datagram{to, {reinterpret_cast<std::uint8_t*>(octets.data()), octets.size()}, false}};
    static_cast<void>(engine_.send_datagrams(socket_, datagrams));
  }
  void close() {
    const engine::SimEngine::Bystander bystander(engine_);
    if (socket_.is_open()) engine_.close(socket_);
  }
  [[nodiscard]] const Endpoint& where() const noexcept { return where_; }

 private:
  void on_ready(engine::Status) {
    if (!socket_.is_open()) return;
    for (;;) {
      std::array datagrams{engine::Datagram{{}, room_, false}};
      {
        const engine::SimEngine::Bystander bystander(engine_);
        if (!engine_.receive_datagrams(socket_, datagrams)) break;
      }
      listener_(datagrams[0].peer, {datagrams[0].payload.begin(), datagrams[0].payload.end()});
    }
    const engine::SimEngine::Bystander bystander(engine_);
    engine_.wait(socket_, engine::Interest::readable);
  }

  engine::SimEngine& engine_;
  engine::Socket socket_;
  Endpoint where_;
  Listener listener_;
  std::vector<std::uint8_t> room_ = std::vector<std::uint8_t>(70'000);
};

}  // namespace stile::sim_test
