#include "sim/talker.h"

#include <algorithm>
#include <array>
#include <utility>

namespace stile::sim_test {

using Bystander = engine::SimEngine::Bystander;

void Talker::connect(const Address& from, const Endpoint& to) {
  const Bystander bystander(engine_);
  engine_.connect_from(from);
  connecting_ = engine_.connect(socket_, to).has_value();
  engine_.connect_from(std::nullopt);
  if (const auto local = engine_.local_endpoint(socket_)) local_ = *local;
}

void Talker::connect_later(const Address& from, const Endpoint& to, Duration delay) {
  appointment_ = {from, to};
  sleep(delay);
}

void Talker::close() {
  const Bystander bystander(engine_);
  if (socket_.is_open()) engine_.close(socket_);
  engine_.cancel(pause_);
}

std::string Talker::state() const {
  return std::string("[") + (connecting_ ? "connecting, " : "") + "written " + std::to_string(written_) + " of " +
         std::to_string(to_write_.size()) + ", seen " + std::to_string(seen_.octets.size()) +
         (seen_.fin ? ", FIN" : "") + (fin_written_ ? ", own FIN" : "") + (socket_.pending() ? "" : ", not waiting") +
         "]";
}

void Talker::on_ready(engine::Status status) {
  const Bystander bystander(engine_);
  if (!socket_.is_open() || status == engine::Status::canceled) return;
  if (connecting_) {
    connecting_ = false;
    if (!engine_.connect_result(socket_)) {
      seen_.failed = true;
      return;
    }
  }
  act();
}

void Talker::on_pause(engine::Status status) {
  const Bystander bystander(engine_);
  if (status != engine::Status::done) return;
  if (const auto due = std::exchange(appointment_, std::nullopt)) return connect(due->from, due->to);
  if (socket_.is_open()) act();
}

void Talker::act() {
  if (reading_) read_some();
  if (socket_.is_open()) step();
  if (!socket_.is_open()) return;
  const bool blocked = write_some();
  if (!socket_.is_open()) return;
  if (engine_.failed(socket_)) {
    seen_.failed = true;
    return engine_.close(socket_);
  }
  if (seen_.fin && fin_written_) return engine_.close(socket_);
  const bool read = reading_ && !seen_.fin;
  engine_.wait(socket_, static_cast<engine::Interest>((read ? 1 : 0) | (blocked ? 2 : 0)));
}

// True while the other side takes no more.
bool Talker::write_some() {
  while (!written()) {
    const auto* const octets = reinterpret_cast<const std::uint8_t*>(to_write_.data());
    const ConstBytes rest = ConstBytes(octets, to_write_.size()).subspan(written_);
    const auto sent = engine_.send(socket_, rest.first(std::min(rest.size(), segment_)));
    if (!sent && sent.error().kind == ErrorKind::would_block) return true;
    if (!sent) {
      seen_.failed = true;
      engine_.close(socket_);
      return false;
    }
    written_ += *sent;
  }
  if (fin_wanted_ && !fin_written_) {
    fin_written_ = true;
    if (!engine_.shutdown_write(socket_)) seen_.failed = true;
  }
  return false;
}

void Talker::read_some() {
  std::array<std::uint8_t, 8192> buffer;
  while (socket_.is_open() && !seen_.fin) {
    const auto received = engine_.receive(socket_, buffer);
    if (!received && received.error().kind == ErrorKind::would_block) return;
    if (!received) {
      seen_.failed = true;
      return engine_.close(socket_);
    }
    if (*received == 0) seen_.fin = true;
    seen_.octets.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*received));
  }
}

}  // namespace stile::sim_test
