// What only the simulation promises: determinism, and failures to order. The contract itself is judged by
// tests/conformance.
#include "engine/sim/sim_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>

#include "sys/errno_table.h"

namespace stile::engine {
namespace {

using namespace std::chrono_literals;

const Endpoint server_at{Address::v4(127, 0, 0, 1), 1080};

/// Echoes what it receives until FIN, then closes; aborts on an error. Both ends of the test's traffic.
class Echo {
 public:
  Echo(SimEngine& engine, Socket& accepted) : engine_(engine) {
    socket_.bind<&Echo::on_ready>(this);
    engine_.move(accepted, socket_);
    engine_.wait(socket_, Interest::readable);
  }
  ~Echo() { engine_.close(socket_); }
  [[nodiscard]] bool over() const { return !socket_.is_open() && !socket_.pending(); }
  void close() { engine_.close(socket_); }

 private:
  void on_ready(Status status) {
    if (status == Status::canceled || !socket_.is_open()) return;
    std::array<std::uint8_t, 512> buffer;
    if (pending_.empty()) {
      const Result<std::size_t> got = engine_.receive(socket_, buffer);
      if (!got && got.error().kind != ErrorKind::would_block) return engine_.abort(socket_);
      if (got && *got == 0) return engine_.close(socket_);
      if (got) pending_.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*got));
    }
    while (!pending_.empty()) {
      const Result<std::size_t> sent = engine_.send(socket_, pending_);
      if (!sent && sent.error().kind == ErrorKind::would_block) return engine_.wait(socket_, Interest::writable);
      if (!sent) return engine_.abort(socket_);
      pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(*sent));
    }
    engine_.wait(socket_, Interest::readable);
  }

  SimEngine& engine_;
  Socket socket_;
  std::vector<std::uint8_t> pending_;
};

class EchoServer {
 public:
  explicit EchoServer(SimEngine& engine) : engine_(engine) {
    listener_.bind<&EchoServer::on_ready>(this);
    open_ = engine_.listen(listener_, server_at, {}).has_value();
    if (open_) engine_.wait(listener_, Interest::readable);
  }
  ~EchoServer() {
    close();
    engine_.stop();
    engine_.run();
  }
  void close() {
    engine_.close(listener_);
    for (const auto& echo : echoes_) echo->close();
  }

 private:
  void on_ready(Status status) {
    if (status == Status::canceled || !listener_.is_open()) return;
    Socket accepted;
    if (engine_.try_accept(listener_, accepted)) echoes_.push_back(std::make_unique<Echo>(engine_, accepted));
    engine_.wait(listener_, Interest::readable);
  }

  SimEngine& engine_;
  Socket listener_;
  bool open_ = false;
  std::vector<std::unique_ptr<Echo>> echoes_;
};

/// Sends `count` octets with FIN behind, and reads until the end.
class Client {
 public:
  Client(SimEngine& engine, std::size_t count) : engine_(engine), rest_(count, 'x') {
    socket_.bind<&Client::on_ready>(this);
    const SimEngine::Bystander bystander(engine_);
    if (!engine_.connect(socket_, server_at)) ended_ = true;
  }
  ~Client() { engine_.close(socket_); }
  void close() { engine_.close(socket_); }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] std::size_t echoed() const { return echoed_; }

 private:
  void on_ready(Status status) {
    if (status == Status::canceled || !socket_.is_open()) return;
    const SimEngine::Bystander bystander(engine_);
    if (!std::exchange(connected_, true) && !engine_.connect_result(socket_)) return end();
    if (!write() || !read()) return end();
    engine_.wait(socket_, rest_.empty() ? Interest::readable : Interest::both);
  }
  bool write() {
    while (!rest_.empty()) {
      const Result<std::size_t> sent = engine_.send(socket_, rest_);
      if (!sent) return sent.error().kind == ErrorKind::would_block;
      rest_.resize(rest_.size() - *sent);
    }
    return fin_ || (fin_ = engine_.shutdown_write(socket_).has_value());
  }
  bool read() {
    std::array<std::uint8_t, 1000> buffer;
    for (;;) {
      const Result<std::size_t> got = engine_.receive(socket_, buffer);
      if (!got) return got.error().kind == ErrorKind::would_block;
      if (*got == 0) return false;
      echoed_ += *got;
    }
  }
  void end() {
    ended_ = true;
    engine_.close(socket_);
  }

  SimEngine& engine_;
  Socket socket_;
  std::vector<std::uint8_t> rest_;
  std::size_t echoed_ = 0;
  bool connected_ = false;
  bool fin_ = false;
  bool ended_ = false;
};

SimFaults rough() {
  SimFaults faults;
  faults.short_read = 0.3;
  faults.short_write = 0.3;
  faults.spurious_ready = 0.3;
  faults.late_completion = 0.3;
  faults.shuffle_completions = true;
  faults.split = 0.5;
  faults.latency_max = 5ms;
  faults.stream_octets_max = 1000;
  return faults;
}

struct Outcome {
  std::uint64_t trace = 0;
  std::uint64_t calls = 0;
  std::size_t echoed = 0;
  bool idle = false;
};

/// One server, three clients, until nothing moves; then everything must have been given back.
Outcome run_echo(std::uint64_t seed, const SimFaults& faults, const std::function<void(SimEngine&)>& prepare = {}) {
  SimEngine engine(seed, faults);
  if (prepare) prepare(engine);
  Outcome run;
  {
    EchoServer server(engine);
    std::array<std::unique_ptr<Client>, 3> clients;
    for (auto& client : clients) client = std::make_unique<Client>(engine, 3000);
    run.idle = engine.run_until_idle();
    for (const auto& client : clients) {
      run.echoed += client->echoed();
      EXPECT_TRUE(client->ended()) << "seed " << seed;
      client->close();
    }
    server.close();
    engine.stop();
    engine.run();
    run.trace = engine.trace_hash();
    run.calls = engine.calls();
  }
  EXPECT_EQ(engine.open_sockets(), 0u);
  EXPECT_EQ(engine.open_pipes(), 0u);
  EXPECT_EQ(engine.pending_timers(), 0u);
  EXPECT_TRUE(engine.run_until_idle());
  EXPECT_EQ(engine.open_connections(), 0u);
  return run;
}

TEST(SimEngine, EqualSeedsGiveEqualRunsAndOthersDiffer) {
  const Outcome first = run_echo(1, rough());
  EXPECT_EQ(first.trace, run_echo(1, rough()).trace);
  EXPECT_NE(first.trace, run_echo(2, rough()).trace);
}

TEST(SimEngine, NothingIsLostOnARoughNetwork) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Outcome run = run_echo(seed, rough());
    ASSERT_TRUE(run.idle) << "seed " << seed;
    ASSERT_EQ(run.echoed, 9000u) << "seed " << seed;
  }
}

TEST(SimEngine, ResetsAndRefusalsLeaveNothingBehind) {
  SimFaults faults = rough();
  faults.reset = 0.02;
  faults.reset_overtakes = 0.5;
  faults.connect_failure = 0.2;
  std::size_t least = 9000;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Outcome run = run_echo(seed, faults);
    ASSERT_TRUE(run.idle) << "seed " << seed;
    ASSERT_LE(run.echoed, 9000u);
    least = std::min(least, run.echoed);
  }
  EXPECT_LT(least, 9000u) << "no fault was met";
}

// The sweep "fail the i-th operation", with an error that ends a stream and with one that does not.
TEST(SimEngine, EachCallFailsInItsTurn) {
  const std::uint64_t calls = run_echo(5, {}).calls;
  ASSERT_GT(calls, 20u);
  for (const int errno_value : {ECONNRESET, EMFILE, EAGAIN}) {
    for (std::uint64_t call = 1; call <= calls; ++call) {
      const Outcome run =
          run_echo(5, {}, [&](SimEngine& engine) { engine.fail_nth(call, sys::make_error(errno_value)); });
      ASSERT_TRUE(run.idle) << "call " << call;
      ASSERT_GE(run.calls, call);
    }
  }
}

struct Dialler {
  explicit Dialler(SimEngine& engine) : engine_(engine) { socket.bind<&Dialler::on_connected>(this); }
  ~Dialler() { engine_.close(socket); }
  /// nullopt: connected.
  std::optional<ConnectFailure> dial(const Endpoint& peer) {
    failure = std::nullopt;
    if (auto begun = engine_.connect(socket, peer); !begun) return begun.error();
    engine_.run();
    return failure;
  }
  void on_connected(Status status) {
    if (status == Status::canceled) return;
    took = engine_.now();
    if (auto result = engine_.connect_result(socket); !result) failure = result.error();
  }

  SimEngine& engine_;
  Socket socket;
  std::optional<ConnectFailure> failure;
  Instant took{};
};

TEST(SimEngine, DestinationsBehaveAsRouted) {
  SimEngine engine(1);
  const auto net = [](const char* text) { return Cidr::parse(text).value(); };
  const auto at = [](const char* text) { return Endpoint::parse(text).value(); };
  engine.set_route(net("192.0.2.0/24"), SimBehaviour::net_unreachable(Family::ipv4));
  engine.set_route(net("192.0.2.8/32"), SimBehaviour::ttl_exceeded(Family::ipv4));
  engine.set_route(net("192.0.2.9/32"), SimBehaviour::silent());
  engine.set_route(net("192.0.2.10/32"), SimBehaviour::local_error(sys::make_error(EACCES)));
  engine.set_route(net("2001:db8::/32"), SimBehaviour::host_unreachable(Family::ipv6));
  Dialler dialler(engine);

  auto failure = dialler.dial(at("192.0.2.1:80"));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->error.kind, ErrorKind::net_unreachable);
  ASSERT_TRUE(failure->icmp);
  EXPECT_EQ(failure->icmp->type, 3);
  EXPECT_EQ(failure->icmp->code, 0);

  failure = dialler.dial(at("192.0.2.8:80"));
  ASSERT_TRUE(failure && failure->icmp);
  EXPECT_EQ(failure->error.kind, ErrorKind::host_unreachable);
  EXPECT_EQ(failure->icmp->type, 11);

  const Instant begun = engine.now();
  failure = dialler.dial(at("192.0.2.9:80"));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->error.kind, ErrorKind::timed_out);
  EXPECT_GE(dialler.took - begun, engine.faults().connect_timeout);

  failure = dialler.dial(at("192.0.2.10:80"));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->error, sys::make_error(EACCES));
  EXPECT_EQ(failure->icmp, std::nullopt);

  failure = dialler.dial(at("[2001:db8::1]:80"));
  ASSERT_TRUE(failure && failure->icmp);
  EXPECT_EQ(failure->icmp->family, Family::ipv6);
  EXPECT_EQ(failure->icmp->code, 3);

  failure = dialler.dial(at("203.0.113.1:80"));
  ASSERT_TRUE(failure) << "nobody listens";
  EXPECT_EQ(failure->error.kind, ErrorKind::refused);
  EXPECT_EQ(failure->icmp, std::nullopt);
}

TEST(SimEngine, SourceAddressesArePlausibleAndCanBeChosen) {
  SimEngine engine(1);
  Socket listener;
  ASSERT_TRUE(engine.listen(listener, Endpoint{Address::v4(203, 0, 113, 5), 80}, {}));
  const auto source = [&](const std::optional<Address>& from) {
    Dialler dialler(engine);
    engine.connect_from(from);
    EXPECT_FALSE(dialler.dial(Endpoint{Address::v4(203, 0, 113, 5), 80}));
    Socket accepted;
    const Endpoint peer = engine.try_accept(listener, accepted).value();
    EXPECT_EQ(peer, engine.local_endpoint(dialler.socket).value());
    engine.close(accepted);
    return peer;
  };
  engine.set_own_address(Address::v4(198, 51, 100, 7));
  EXPECT_EQ(source(std::nullopt).address, Address::v4(198, 51, 100, 7));
  EXPECT_EQ(source(Address::v4(192, 0, 2, 77)).address, Address::v4(192, 0, 2, 77));
  EXPECT_GE(source(std::nullopt).port, 32768);
  engine.close(listener);
}

TEST(SimEngine, AWildcardListenerTakesWhatIsAddressedHere) {
  SimEngine engine(1);
  Socket listener;
  ASSERT_TRUE(engine.listen(listener, Endpoint{Address{}, 80}, {}));
  Dialler dialler(engine);
  for (const Address& here : {Address::v4(127, 0, 0, 1), Address::v4(127, 9, 9, 9), Address::v4(10, 0, 0, 1)}) {
    EXPECT_FALSE(dialler.dial(Endpoint{here, 80}));
    engine.close(dialler.socket);
  }
  EXPECT_TRUE(dialler.dial(Endpoint{Address::v4(203, 0, 113, 1), 80}));
  engine.close(listener);
}

struct Ticker {
  explicit Ticker(SimEngine& engine) : engine_(engine) { timer.bind<&Ticker::on_tick>(this); }
  void on_tick(Status status) {
    if (status == Status::canceled) return;
    ++ticks;
    engine_.start_timer(timer, engine_.now() + every);
  }
  SimEngine& engine_;
  Timer timer;
  Duration every = 1s;
  int ticks = 0;
};

TEST(SimEngine, TimeIsVirtualAndExact) {
  SimEngine engine(1);
  Ticker ticker(engine);
  const Instant start = engine.now();
  const WallTime wall = engine.wall_now();
  engine.start_timer(ticker.timer, start + 1s);
  EXPECT_TRUE(engine.run_for(1h));
  EXPECT_EQ(ticker.ticks, 3600);
  EXPECT_EQ(engine.now(), start + 1h);
  EXPECT_EQ(engine.wall_now(), wall + 1h);
  engine.cancel(ticker.timer);
  EXPECT_TRUE(engine.run_until_idle());
  EXPECT_EQ(engine.now(), start + 1h) << "nothing left that takes time";
}

TEST(SimEngine, SpinningIsFoundOut) {
  SimEngine engine(1);
  Ticker ticker(engine);
  ticker.every = 0s;
  engine.start_timer(ticker.timer, engine.now());
  EXPECT_FALSE(engine.run_for(1h));
  EXPECT_TRUE(engine.spun());
  engine.cancel(ticker.timer);
  EXPECT_TRUE(engine.run_until_idle()) << "it can be cleared away";
  EXPECT_FALSE(engine.spun());
}

class Datagrams {
 public:
  explicit Datagrams(SimEngine& engine) : engine_(engine) {
    EXPECT_TRUE(engine_.open_udp(from_, Endpoint{Address::v4(127, 0, 0, 1), 0}));
    EXPECT_TRUE(engine_.open_udp(to_, Endpoint{Address::v4(127, 0, 0, 1), 53}));
  }
  ~Datagrams() {
    engine_.close(from_);
    engine_.close(to_);
  }
  std::vector<int> exchange(int count) {
    for (int i = 0; i < count; ++i) {
      auto octet = static_cast<std::uint8_t>(i);
      const std::array one{Datagram{.peer = {Address::v4(127, 0, 0, 1), 53}, .payload = {&octet, 1}}};
      EXPECT_TRUE(engine_.send_datagrams(from_, one));
    }
    engine_.run();
    std::vector<int> received;
    for (;;) {
      std::uint8_t octet = 0;
      std::array one{Datagram{.payload = {&octet, 1}}};
      if (!engine_.receive_datagrams(to_, one)) return received;
      received.push_back(octet);
    }
  }

 private:
  SimEngine& engine_;
  Socket from_;
  Socket to_;
};

TEST(SimEngine, DatagramsAreDroppedDuplicatedAndReordered) {
  const auto sent = [] {
    std::vector<int> all(200);
    for (int i = 0; i < 200; ++i) all[static_cast<std::size_t>(i)] = i;
    return all;
  }();
  const auto exchange = [](const SimFaults& faults) {
    SimEngine engine(3, faults);
    return Datagrams(engine).exchange(200);
  };
  EXPECT_EQ(exchange({}), sent);
  EXPECT_LT(exchange({.udp_drop = 0.5}).size(), 150u);
  EXPECT_GT(exchange({.udp_duplicate = 0.5}).size(), 250u);
  std::vector<int> reordered = exchange({.latency_max = 5ms});
  EXPECT_NE(reordered, sent);
  std::sort(reordered.begin(), reordered.end());
  EXPECT_EQ(reordered, sent);
}

TEST(SimEngine, DatagramCallsFailAsAfterIcmpAndForWantOfBuffers) {
  SimEngine engine(1, {.udp_leftover = 1});
  Socket socket;
  const Endpoint somewhere{Address::v4(127, 0, 0, 1), 53};
  ASSERT_TRUE(engine.open_udp(socket, {Address::v4(127, 0, 0, 1), 0}));
  std::array<std::uint8_t, 1> octet{};
  const std::array datagrams{Datagram{somewhere, octet, false}};
  EXPECT_FALSE(engine.send_datagrams(socket, datagrams).has_value());
  EXPECT_TRUE(engine.send_datagrams(socket, datagrams).has_value()) << "one error, one call";
  engine.faults().udp_leftover = 0;
  engine.faults().udp_refusal = 1;
  EXPECT_FALSE(engine.send_datagrams(socket, datagrams).has_value());
  EXPECT_FALSE(engine.send_datagrams(socket, datagrams).has_value());
  const SimEngine::Bystander aside(engine);
  EXPECT_TRUE(engine.send_datagrams(socket, datagrams).has_value());
  engine.close(socket);
}

TEST(SimEngine, BystandersAreNeitherCountedNorFailedNorLimited) {
  SimEngine engine(1);
  engine.set_descriptor_limit(0);
  engine.fail_nth(1, sys::make_error(ENOBUFS));
  Socket socket;
  {
    const SimEngine::Bystander bystander(engine);
    EXPECT_TRUE(engine.open_udp(socket, Endpoint{Address::v4(127, 0, 0, 1), 0}));
  }
  EXPECT_EQ(engine.calls(), 0u);
  Socket own;
  EXPECT_EQ(engine.open_udp(own, Endpoint{Address::v4(127, 0, 0, 1), 0}).error().kind, ErrorKind::no_memory);
  EXPECT_EQ(engine.open_udp(own, Endpoint{Address::v4(127, 0, 0, 1), 0}).error().kind, ErrorKind::no_descriptors);
  EXPECT_EQ(engine.calls(), 2u);
  EXPECT_EQ(engine.open_sockets(), 1u);
  engine.close(socket);
}

}  // namespace
}  // namespace stile::engine
