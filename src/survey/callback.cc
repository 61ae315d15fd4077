#include "survey/callback.h"

#include <array>
#include <utility>

namespace stile::survey {
namespace {

constexpr std::size_t guests_max = 16;  // no question has so many
constexpr std::size_t noted_max = 64;
constexpr std::size_t room_octets = 4096;

}  // namespace

/// A stream that came. What it does not take at once is not sent: what is asked of it is short.
class Callback::Guest {
 public:
  Guest(engine::Engine& engine, engine::Socket& accepted) : engine_(engine) {
    socket_.bind<&Guest::on_ready>(this);
    engine_.move(accepted, socket_);
    engine_.wait(socket_, engine::Interest::readable);
  }
  [[nodiscard]] bool is_over() const noexcept { return !socket_.is_open() && !socket_.pending(); }
  void close() noexcept {
    if (socket_.is_open()) engine_.close(socket_);
    while (socket_.pending()) {
      engine_.stop();
      engine_.run();
    }
  }

 private:
  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled || !socket_.is_open()) return;
    std::array<std::uint8_t, room_octets> room;
    const auto received = engine_.receive(socket_, room);
    const bool over = received ? *received == 0 : received.error().kind != ErrorKind::would_block;
    if (over) return engine_.close(socket_);
    if (received) (void)engine_.send(socket_, ConstBytes(room).first(*received));
    engine_.wait(socket_, engine::Interest::readable);
  }

  engine::Engine& engine_;
  engine::Socket socket_;
};

Callback::Callback(engine::Engine& engine) noexcept : engine_(engine) {
  listener_.bind<&Callback::on_caller>(this);
  socket_.bind<&Callback::on_datagram>(this);
}

Callback::~Callback() {
  for (const auto& guest : guests_) guest->close();
  for (engine::Socket* const one : {&listener_, &socket_}) {
    if (one->is_open()) engine_.close(*one);
    while (one->pending()) {
      engine_.stop();
      engine_.run();
    }
  }
}

std::unique_ptr<Callback> Callback::open(engine::Engine& engine, const Address& local, std::uint16_t port) {
  std::unique_ptr<Callback> callback(new Callback(engine));
  return callback->listen(local, port) ? std::move(callback) : nullptr;
}

bool Callback::listen(const Address& local, std::uint16_t port) {
  engine::Socket passing;
  if (!engine_.listen(passing, {local, 0}, {})) return false;
  closed_at_ = engine_.local_endpoint(passing).value_or(Endpoint{});
  const bool open = engine_.listen(listener_, {local, port}, {}) && engine_.open_udp(socket_, {local, 0});
  engine_.close(passing);
  if (!open) return false;
  streams_at_ = engine_.local_endpoint(listener_).value_or(Endpoint{});
  datagrams_at_ = engine_.local_endpoint(socket_).value_or(Endpoint{});
  engine_.wait(listener_, engine::Interest::readable);
  engine_.wait(socket_, engine::Interest::readable);
  return true;
}

void Callback::on_caller(engine::Status status) {
  if (status == engine::Status::canceled || !listener_.is_open()) return;
  engine::Socket accepted;
  const auto peer = engine_.try_accept(listener_, accepted);
  if (peer) {
    if (callers_.size() < noted_max) callers_.push_back(*peer);
    std::erase_if(guests_, [](const auto& guest) { return guest->is_over(); });
    if (guests_.size() < guests_max) guests_.push_back(std::make_unique<Guest>(engine_, accepted));
    if (accepted.is_open()) engine_.close(accepted);
  } else if (peer.error().kind != ErrorKind::would_block) {
    (void)engine_.shed_one(listener_);
  }
  engine_.wait(listener_, engine::Interest::readable);
}

void Callback::on_datagram(engine::Status status) {
  if (status == engine::Status::canceled || !socket_.is_open()) return;
  std::array<std::uint8_t, room_octets> room;
  engine::Datagram datagram{.payload = room};
  if (engine_.receive_datagrams(socket_, {&datagram, 1})) {
    if (senders_.size() < noted_max) senders_.push_back(datagram.peer);
    (void)engine_.send_datagrams(socket_, {&datagram, 1});
  }
  engine_.wait(socket_, engine::Interest::readable);
}

}  // namespace stile::survey
