// A name server in UDP on the loop under test, for what a real one will not do on demand. Who derives says the answers.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/assert.h"
#include "engine/epoll/epoll_engine.h"

namespace stile::resolve {

class NameServerForTests {
 public:
  NameServerForTests(engine::EpollEngine& engine, const Endpoint& local) : engine_(engine) {
    socket_.bind<&NameServerForTests::on_ready>(this);
    STILE_ASSERT(engine_.open_udp(socket_, local));
    engine_.wait(socket_, engine::Interest::readable);
  }
  virtual ~NameServerForTests() { STILE_ASSERT(!socket_.is_open()); }
  NameServerForTests(const NameServerForTests&) = delete;
  NameServerForTests& operator=(const NameServerForTests&) = delete;

  void close() { engine_.close(socket_); }
  [[nodiscard]] Endpoint where() const { return *engine_.local_endpoint(socket_); }
  [[nodiscard]] int questions() const { return questions_; }

 protected:
  using Octets = std::vector<std::uint8_t>;
  /// Absent: silence.
  virtual std::optional<Octets> answer(const Octets& question) = 0;

  /// The header and the question alone, said to be a response; what stood behind them (OPT) is gone.
  static Octets response(const Octets& question) {
    Octets octets = question;
    octets[2] = 0x81;  // a response, recursion desired
    octets[3] = 0x80;
    octets.resize(end_of_name(question) + 4);
    octets[10] = octets[11] = 0;
    return octets;
  }
  static bool asks_for_a(const Octets& question) { return question[end_of_name(question) + 1] == 1; }

 private:
  static std::size_t end_of_name(const Octets& question) {
    std::size_t end = 12;
    while (question[end] != 0) end += question[end] + 1U;
    return end + 1;
  }

  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    std::array<std::uint8_t, 1500> room{};
    engine::Datagram datagram{.peer = {}, .payload = room};
    while (engine_.receive_datagrams(socket_, std::span(&datagram, 1)).value_or(0) == 1) {
      ++questions_;
      if (auto octets = answer({datagram.payload.begin(), datagram.payload.end()})) {
        datagram.payload = *octets;
        EXPECT_EQ(engine_.send_datagrams(socket_, std::span(&datagram, 1)), 1U);
      }
      datagram.payload = room;
    }
    engine_.wait(socket_, engine::Interest::readable);
  }

  engine::EpollEngine& engine_;
  engine::Socket socket_;
  int questions_ = 0;
};

}  // namespace stile::resolve
