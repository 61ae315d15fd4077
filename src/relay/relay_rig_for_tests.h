// Two scripted peers with a tunnel between them, on any engine. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "relay/tcp_relay.h"

namespace stile::relay {

/// One end of the conversation: sends what it is told to, reads unless told not to, remembers everything.
class Peer {
 public:
  explicit Peer(engine::Engine& engine) : engine_(engine) { socket_.bind<&Peer::on_ready>(this); }
  ~Peer() { close(); }

  void connect(const Endpoint& to) { ASSERT_TRUE(engine_.connect(socket_.socket(), to).has_value()); }
  void send(std::string octets) {
    to_send_ += octets;
    act();
  }
  void fin() {
    fin_wanted_ = true;
    act();
  }
  void reset() { socket_.abort(engine_); }
  /// From now on, what it sends and receives goes through the transform.
  void protect(std::unique_ptr<protect::Transform> transform) { socket_.protect(std::move(transform)); }
  void pause_reading() { reading_ = false; }
  void resume_reading() {
    reading_ = true;
    act();
  }
  void close() {
    if (socket_.is_open()) socket_.close(engine_);
  }

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] bool busy() const { return socket_.pending(); }
  [[nodiscard]] const std::string& received() const { return received_; }
  [[nodiscard]] bool saw_fin() const { return saw_fin_; }
  [[nodiscard]] bool saw_reset() const { return saw_reset_; }
  [[nodiscard]] std::size_t unsent() const { return to_send_.size() - sent_; }

 private:
  void on_ready(engine::Status) {
    if (!socket_.is_open()) return;
    if (!connected_) {
      connected_ = engine_.connect_result(socket_.socket()).has_value();
      if (!connected_) return;
    }
    act();
  }

  void act() {
    if (!connected_ || !socket_.is_open()) return;
    const bool blocked = write();
    if (reading_ && !read()) return;
    if (engine_.failed(socket_.socket())) return fail();  // a wait of any interest would complete at once, for ever
    const bool read_wanted = reading_ && !saw_fin_;
    socket_.wait(engine_, static_cast<engine::Interest>((read_wanted ? 1 : 0) | (blocked ? 2 : 0)));
  }

  bool write() {
    while (sent_ < to_send_.size()) {
      const auto* const octets = reinterpret_cast<const std::uint8_t*>(to_send_.data());
      const auto sent = socket_.send(engine_, ConstBytes(octets, to_send_.size()).subspan(sent_));
      if (!sent) return sent.error().kind == ErrorKind::would_block;
      sent_ += *sent;
    }
    if (fin_wanted_ && !fin_sent_) fin_sent_ = socket_.shutdown_write(engine_).has_value();
    return false;
  }

  void fail() {
    saw_reset_ = true;
    socket_.close(engine_);
  }

  // False once the connection failed.
  bool read() {
    std::array<std::uint8_t, 16 * 1024> buffer;
    while (!saw_fin_) {
      const auto received = socket_.receive(engine_, buffer);
      if (!received && received.error().kind == ErrorKind::would_block) return true;
      if (!received) {
        fail();
        return false;
      }
      if (*received == 0) saw_fin_ = true;
      received_.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*received));
    }
    return true;
  }

  engine::Engine& engine_;
  protect::Line socket_;
  std::string to_send_;
  std::string received_;
  std::size_t sent_ = 0;
  bool connected_ = false;
  bool reading_ = true;
  bool fin_wanted_ = false;
  bool fin_sent_ = false;
  bool saw_fin_ = false;
  bool saw_reset_ = false;
};

class RelayRig final : public TunnelOwner {
 public:
  explicit RelayRig(engine::Engine& engine, const RelayLimits& limits = {})
      : client(engine), target(engine), engine_(engine), relay(engine, *this, limits) {
    tick_.bind<&RelayRig::on_tick>(this);
    accept_.bind<&RelayRig::on_accept>(this);
  }
  ~RelayRig() override {
    client.close();
    target.close();
    relay.end_all(Reason::drain);
    run_until([&] { return relay.quiet() && !client.busy() && !target.busy(); });
  }

  /// Connects both peers and puts the tunnel between them.
  void begin(const std::string& early = {}, Watch watch = Watch::nothing, std::unique_ptr<Terms> terms = nullptr) {
    protect::Line to_client;
    protect::Line to_target;
    connect(client, to_client.socket());
    connect(target, to_target.socket());
    if (protect) protect(to_client, to_target);
    relay.start(to_client, to_target, ConstBytes(reinterpret_cast<const std::uint8_t*>(early.data()), early.size()),
                this, watch, std::move(terms));
  }

  /// Turns the loop until the condition holds; a condition that never comes true fails the test.
  void run_until(const std::function<bool()>& condition) {
    for (int ticks = 0; !condition(); ++ticks) {
      ASSERT_LT(ticks, 20'000) << "what the test waits for does not happen";
      run_for(std::chrono::milliseconds(1));
    }
  }
  void run_for(Duration duration) {
    engine_.start_timer(tick_, engine_.now() + duration);
    while (tick_.pending()) engine_.run();
  }

  /// What protects the tunnel's sides, before it begins.
  std::function<void(protect::Line& client, protect::Line& target)> protect;
  Peer client;
  Peer target;
  std::optional<TunnelEnd> end;
  std::string seen;  // by the watch

 private:
  void request_seen(void*, const wire::HttpSighting& request) noexcept override {
    seen += describe(request, false) + '\n';
  }
  void hello_seen(void*, const wire::TlsClientHello& hello) noexcept override { seen += hello.server_name + '\n'; }
  void tunnel_ended(const TunnelEnd& ended) noexcept override { end = ended; }
  void on_tick(engine::Status) { engine_.stop(); }
  void on_accept(engine::Status) {}

  void connect(Peer& peer, engine::Socket& server_side) {
    ASSERT_TRUE(engine_.listen(accept_, {Address::v4(127, 0, 0, 1), 0}, {}).has_value());
    peer.connect(*engine_.local_endpoint(accept_));
    run_until([&] { return peer.connected(); });
    run_until([&] { return server_side.is_open() || engine_.try_accept(accept_, server_side).has_value(); });
    engine_.close(accept_);
  }

  engine::Engine& engine_;
  engine::Timer tick_;
  engine::Socket accept_;

 public:
  Relay relay;
};

/// Octets that differ everywhere, so that loss, repetition and reordering show.
[[nodiscard]] inline std::string pattern(std::size_t size, std::uint32_t seed) {
  std::string text(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1U;
  for (char& octet : text) {
    state = state * 1664525U + 1013904223U;
    octet = static_cast<char>(state >> 24U);
  }
  return text;
}

}  // namespace stile::relay
