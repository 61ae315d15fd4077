#include "sim/actors.h"

#include <algorithm>

namespace stile::sim_test {
namespace {

using Bystander = engine::SimEngine::Bystander;
constexpr auto slowness = std::chrono::seconds(2);

}  // namespace

// ── Talker ──────────────────────────────────────────────────────────────────────────────────────────────────────────

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
  if (status == engine::Status::done && socket_.is_open()) act();
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

// ── Client ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Client::Client(engine::SimEngine& engine, const Script& script, std::string request)
    : Talker(engine), script_(script), handshake_(std::string("\x05\x01\x00", 3) + request) {
  handshake_ += script.up.substr(0, script.optimistic);
  segment_ = script.segment;
}

void Client::begin() {
  const Bystander bystander(engine_);
  connecting_ = true;
  if (!engine_.connect(socket_, Town::server_endpoint())) connecting_ = false;
}

// The method choice takes two octets, an address of family 1 or 4 decides how long the reply is.
std::size_t Client::reply_end() const {
  const std::string& octets = seen().octets;
  if (octets.size() < 6) return std::string::npos;
  const std::size_t length = octets[5] == 4 ? 22 : 10;
  return octets.size() < 2 + length ? std::string::npos : 2 + length;
}

int Client::reply() const {
  return reply_end() == std::string::npos ? -1 : static_cast<unsigned char>(seen().octets[3]);
}

std::string Client::payload() const {
  return reply_end() == std::string::npos ? std::string() : seen().octets.substr(reply_end());
}

void Client::step() {
  if (asleep()) return;
  if (sent_ < handshake_.size()) {
    const std::size_t size = std::min(script_.segment, handshake_.size() - sent_);
    write(handshake_.substr(sent_, size));
    sent_ += size;
    if (script_.pause > Duration::zero() || sent_ < handshake_.size()) return sleep(script_.pause);
  }
  if (script_.errand == Errand::unfinished) return write_fin();
  if (reply() < 0 && !seen().fin) return;
  if (reply() != 0) return write_fin();
  if (!payload_begun_) {
    payload_begun_ = true;
    write(script_.up.substr(script_.optimistic));
    if (script_.slow_client) {
      reading_ = false;
      return sleep(slowness);
    }
  }
  reading_ = true;
  if (script_.client_resets) return reset();
  if (script_.client_fin_first || seen().fin) write_fin();
}

// ── Origin ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Origin::Origin(engine::SimEngine& engine, const Script& script, const Endpoint& at) : Talker(engine), script_(script) {
  const Bystander bystander(engine_);
  listener_.bind<&Origin::on_accept>(this);
  if (engine_.listen(listener_, at, {})) engine_.wait(listener_, engine::Interest::readable);
}

void Origin::on_accept(engine::Status) {
  const Bystander bystander(engine_);
  if (!listener_.is_open()) return;
  if (!visited_ && engine_.try_accept(listener_, socket_)) {
    visited_ = true;
    return act();
  }
  engine_.wait(listener_, engine::Interest::readable);
}

void Origin::step() {
  if (asleep()) return;
  if (!begun_) {
    begun_ = true;
    write(script_.down);
    if (script_.slow_origin) {
      reading_ = false;
      return sleep(slowness);
    }
  }
  reading_ = true;
  if (script_.origin_resets && !seen().octets.empty()) return reset();
  if (!script_.client_fin_first || seen().fin) write_fin();
}

void Origin::close_all() {
  close();
  const Bystander bystander(engine_);
  if (listener_.is_open()) engine_.close(listener_);
}

}  // namespace stile::sim_test
