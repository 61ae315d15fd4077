// A host of the simulated network. The servers of a chain run on one simulated engine; each meets it through its own
// host, which gives it addresses from which it connects, a clock on the wall that may be set, and a wake-up and a stop
// of its own. Everything else is the engine's. Threading: the simulation's one thread.
#pragma once

#include "engine/sim/sim_engine.h"

namespace stile::sim_test {

class Host final : public engine::Engine {
 public:
  Host(engine::SimEngine& network, const Address& ipv4, const Address& ipv6)
      : network_(network), ipv4_(ipv4), ipv6_(ipv6) {}

  /// Somebody sets its clock on the wall.
  void set_clock(Duration by) noexcept { clock_ += by; }
  /// Whoever runs on it asked for the loop's end, and has not begun anew since.
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }

  // The loop turns for all hosts together.
  void run() override { STILE_ASSERT(false); }
  void stop() noexcept override { stopped_ = true; }
  void wake() noexcept override {
    if (on_wake_ != nullptr && !on_wake_->pending()) network_.post(*on_wake_);
  }
  void on_wake(engine::Operation* operation) noexcept override {
    on_wake_ = operation;
    if (operation != nullptr) stopped_ = false;
  }
  void post(engine::Operation& operation) noexcept override { network_.post(operation); }

  [[nodiscard]] Instant now() const noexcept override { return network_.now(); }
  [[nodiscard]] WallTime wall_now() const noexcept override {
    return network_.wall_now() + std::chrono::floor<WallTime::duration>(clock_);
  }
  [[nodiscard]] std::uint64_t random() noexcept override { return network_.random(); }
  void start_timer(engine::Timer& timer, Instant deadline) noexcept override { network_.start_timer(timer, deadline); }
  void cancel(engine::Timer& timer) noexcept override { network_.cancel(timer); }
  void cancel(engine::Socket& socket) noexcept override { network_.cancel(socket); }

  [[nodiscard]] Result<void> listen(engine::Socket& listener, const Endpoint& local,
                                    const engine::ListenOptions& options) override {
    return network_.listen(listener, local, options);
  }
  [[nodiscard]] Result<Endpoint> try_accept(engine::Socket& listener, engine::Socket& accepted) override {
    return network_.try_accept(listener, accepted);
  }
  bool shed_one(engine::Socket& listener) override { return network_.shed_one(listener); }
  using Engine::connect;
  [[nodiscard]] std::expected<void, engine::ConnectFailure> connect(engine::Socket& socket, const Endpoint& peer,
                                                                    const engine::ConnectOptions& options) override {
    engine::Egress from = options.from == nullptr ? engine::Egress{} : *options.from;
    if (!from.address) {
      from.address = own_address(peer.address);
      from.foreign = true;
    }
    return network_.connect(socket, peer, {.from = &from, .fast_open = options.fast_open});
  }
  [[nodiscard]] std::expected<void, engine::ConnectFailure> connect_result(engine::Socket& socket) override {
    return network_.connect_result(socket);
  }
  void wait(engine::Socket& socket, engine::Interest interest) override { network_.wait(socket, interest); }
  void post(engine::Socket& socket) noexcept override { network_.post(socket); }
  [[nodiscard]] Result<std::size_t> receive(engine::Socket& socket, MutableBytes into) override {
    return network_.receive(socket, into);
  }
  [[nodiscard]] Result<std::size_t> send(engine::Socket& socket, ConstBytes octets) override {
    return network_.send(socket, octets);
  }
  [[nodiscard]] Result<void> shutdown_write(engine::Socket& socket) override { return network_.shutdown_write(socket); }
  [[nodiscard]] bool failed(const engine::Socket& socket) const noexcept override { return network_.failed(socket); }
  void close(engine::Socket& socket) noexcept override { network_.close(socket); }
  void abort(engine::Socket& socket) noexcept override { network_.abort(socket); }
  void move(engine::Socket& from, engine::Socket& to) noexcept override { network_.move(from, to); }
  [[nodiscard]] Result<Endpoint> local_endpoint(const engine::Socket& socket) const override {
    return network_.local_endpoint(socket);
  }
  [[nodiscard]] Result<Endpoint> peer_endpoint(const engine::Socket& socket) const override {
    return network_.peer_endpoint(socket);
  }
  [[nodiscard]] std::optional<std::uint32_t> peer_user(const engine::Socket& socket) const noexcept override {
    return network_.peer_user(socket);
  }
  using Engine::source_towards;
  [[nodiscard]] Result<Address> source_towards(const Address& destination, const engine::Egress*) override {
    return own_address(destination);
  }

  [[nodiscard]] Result<void> open_pipe(engine::Pipe& pipe, std::size_t capacity_wanted) override {
    return network_.open_pipe(pipe, capacity_wanted);
  }
  void close_pipe(engine::Pipe& pipe) noexcept override { network_.close_pipe(pipe); }
  [[nodiscard]] Result<std::size_t> splice_in(engine::Socket& from, engine::Pipe& pipe,
                                              std::size_t octets_max) override {
    return network_.splice_in(from, pipe, octets_max);
  }
  [[nodiscard]] Result<std::size_t> splice_out(engine::Pipe& pipe, engine::Socket& to) override {
    return network_.splice_out(pipe, to);
  }

  using Engine::open_udp;
  [[nodiscard]] Result<void> open_udp(engine::Socket& socket, const Endpoint& local,
                                      const engine::Egress* from) override {
    return network_.open_udp(socket, local, from);
  }
  [[nodiscard]] Result<void> use_trains(engine::Socket& socket) override { return network_.use_trains(socket); }
  [[nodiscard]] Result<std::size_t> receive_datagrams(engine::Socket& socket,
                                                      std::span<engine::Datagram> datagrams) override {
    return network_.receive_datagrams(socket, datagrams);
  }
  [[nodiscard]] Result<std::size_t> send_datagrams(engine::Socket& socket,
                                                   std::span<const engine::Datagram> datagrams) override {
    return network_.send_datagrams(socket, datagrams);
  }
  [[nodiscard]] Result<void> keep_datagram_errors(engine::Socket& socket) override {
    return network_.keep_datagram_errors(socket);
  }
  [[nodiscard]] Result<engine::DatagramError> receive_datagram_error(engine::Socket& socket) override {
    return network_.receive_datagram_error(socket);
  }
  [[nodiscard]] Result<void> open_icmp(engine::Socket& socket, Family family) override {
    return network_.open_icmp(socket, family);
  }
  [[nodiscard]] Result<Instant> send_echo(engine::Socket& socket, const engine::EchoProbe& probe) override {
    return network_.send_echo(socket, probe);
  }
  [[nodiscard]] Result<engine::EchoAnswer> receive_echo(engine::Socket& socket, MutableBytes room) override {
    return network_.receive_echo(socket, room);
  }

 private:
  [[nodiscard]] const Address& own_address(const Address& towards) const noexcept {
    return towards.is_v4() ? ipv4_ : ipv6_;
  }

  engine::SimEngine& network_;
  Address ipv4_;
  Address ipv6_;
  Duration clock_{};
  engine::Operation* on_wake_ = nullptr;
  bool stopped_ = false;
};

}  // namespace stile::sim_test
