#include "loadgen/origin.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/limits.h"
#include "loadgen/bulk_end.h"

namespace stile::loadgen {

// ── one connection ──────────────────────────────────────────────────────────────────────────────────────────────────

class Origin::Connection {
 public:
  explicit Connection(Origin& origin) noexcept : origin_(origin) { line_.bind<&Connection::on_ready>(this); }

  void start(engine::Socket& accepted) {
    line_.take(origin_.engine_, accepted);
    phase_ = Phase::preamble;
    preamble_size_ = 0;
    unsent_.clear();
    // Who has connected has mostly spoken by now.
    hear();
  }
  void close() noexcept { line_.close(origin_.engine_); }

 private:
  enum class Phase : std::uint8_t { preamble, echo, bulk, leaving };

  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    if (phase_ == Phase::bulk) return move();
    if (!unsent_.empty()) return echo({});
    hear();
  }

  void hear() {
    const auto received = line_.receive(origin_.engine_, origin_.scratch_);
    if (!received && received.error().kind == ErrorKind::would_block) {
      return line_.wait(origin_.engine_, engine::Interest::readable);
    }
    if (!received || *received == 0) return origin_.release(*this);
    ConstBytes octets = origin_.scratch_.first(*received);
    if (phase_ == Phase::preamble) octets = take_preamble(octets);
    if (!line_.is_open()) return;
    if (phase_ == Phase::bulk) return move();
    if (phase_ == Phase::echo) return echo(octets);
    line_.wait(origin_.engine_, engine::Interest::readable);
  }

  /// What stands behind the preamble.
  ConstBytes take_preamble(ConstBytes octets) {
    const std::size_t taken = std::min(octets.size(), preamble_.size() - preamble_size_);
    std::ranges::copy(octets.first(taken), preamble_.begin() + static_cast<std::ptrdiff_t>(preamble_size_));
    preamble_size_ += taken;
    octets = octets.subspan(taken);
    if (preamble_size_ < preamble_.size()) return octets;
    const auto preamble = decode_preamble(preamble_);
    if (!preamble) {
      origin_.release(*this);
      return {};
    }
    if (preamble->kind == Kind::echo) {
      phase_ = Phase::echo;
      return octets;
    }
    phase_ = Phase::bulk;
    bulk_ = BulkEnd(origin_.pattern_, *preamble, BulkEnd::Side::origin);
    bulk_.take(octets);
    origin_.octets_received_ += bulk_.received();
    return {};
  }

  /// Nothing is received while something waits to be sent: who reads no echo gets no more.
  void echo(ConstBytes octets) {
    const bool was_waiting = !unsent_.empty();
    ConstBytes due = was_waiting ? ConstBytes(unsent_) : octets;
    while (!due.empty()) {
      const auto sent = line_.send(origin_.engine_, due);
      if (!sent && sent.error().kind != ErrorKind::would_block) return origin_.release(*this);
      if (!sent) break;
      due = due.subspan(*sent);
    }
    if (was_waiting || !due.empty()) unsent_ = std::vector<std::uint8_t>(due.begin(), due.end());
    line_.wait(origin_.engine_, due.empty() ? engine::Interest::readable : engine::Interest::writable);
  }

  void move() {
    const std::uint64_t before = bulk_.received();
    const BulkEnd::State state = bulk_.turn(origin_.engine_, line_, origin_.scratch_);
    origin_.octets_received_ += bulk_.received() - before;
    if (state == BulkEnd::State::moving) return;
    if (state == BulkEnd::State::lost) return origin_.release(*this);
    // The client closes first: what it still sends is discarded until then.
    phase_ = Phase::leaving;
    line_.wait(origin_.engine_, engine::Interest::readable);
  }

  Origin& origin_;
  protect::Line line_;  // plain; both ends of bulk are driven alike
  Phase phase_ = Phase::preamble;
  std::array<std::uint8_t, preamble_octets> preamble_{};
  std::size_t preamble_size_ = 0;
  std::vector<std::uint8_t> unsent_;  // of a message larger than the socket's buffer
  BulkEnd bulk_;
};

// ── one listener ────────────────────────────────────────────────────────────────────────────────────────────────────

class Origin::Listener {
 public:
  explicit Listener(Origin& origin) noexcept : origin_(origin) { socket_.bind<&Listener::on_ready>(this); }

  Result<Endpoint> listen(const Endpoint& local) {
    if (auto listening = origin_.engine_.listen(socket_, local, {}); !listening) {
      return std::unexpected(listening.error());
    }
    origin_.engine_.wait(socket_, engine::Interest::readable);
    return origin_.engine_.local_endpoint(socket_);
  }
  void close() noexcept { origin_.engine_.close(socket_); }

 private:
  static constexpr int accepted_per_turn_max = 64;

  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    for (int i = 0; i < accepted_per_turn_max; ++i) {
      engine::Socket accepted;
      const auto peer = origin_.engine_.try_accept(socket_, accepted);
      if (peer) {
        origin_.admit(accepted);
        continue;
      }
      // Where no descriptor is left, the client is told at once.
      if (peer.error().kind != ErrorKind::no_descriptors || !origin_.engine_.shed_one(socket_)) break;
    }
    origin_.engine_.wait(socket_, engine::Interest::readable);
  }

  Origin& origin_;
  engine::Socket socket_;
};

// ── all of them ─────────────────────────────────────────────────────────────────────────────────────────────────────

Origin::Origin(engine::EpollEngine& engine, const Pattern& pattern, MutableBytes scratch, DatagramRoom& room) noexcept
    : engine_(engine), pattern_(pattern), scratch_(scratch), room_(room) {}

Origin::~Origin() = default;

Result<Endpoint> Origin::listen(const Endpoint& local) {
  auto listener = std::make_unique<Listener>(*this);
  auto endpoint = listener->listen(local);
  if (endpoint) listeners_.push_back(std::move(listener));
  return endpoint;
}

Result<Endpoint> Origin::open_udp(const Endpoint& local, bool offload) {
  auto port = std::make_unique<EchoPort>(engine_, room_);
  auto endpoint = port->open(local, offload);
  if (endpoint) ports_.push_back(std::move(port));
  return endpoint;
}

void Origin::close() noexcept {
  for (const auto& listener : listeners_) listener->close();
  for (const auto& connection : connections_) connection->close();
  for (const auto& port : ports_) port->close();
}

void Origin::admit(engine::Socket& accepted) {
  if (free_.empty()) {
    connections_.push_back(std::make_unique<Connection>(*this));
    free_.push_back(connections_.back().get());
  }
  Connection& connection = *free_.back();
  free_.pop_back();
  connection.start(accepted);
}

void Origin::release(Connection& connection) noexcept {
  connection.close();
  free_.push_back(&connection);
}

}  // namespace stile::loadgen
