#include "conformance/engine_harness.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "engine/epoll/epoll_engine.h"
#include "engine/sim/sim_engine.h"
#include "sys/unix_listener.h"

namespace stile::engine::conformance {
namespace {

using namespace std::chrono_literals;

std::function<void()> exhaust_process(Engine& /*engine*/) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int lowest_free = ::dup(STDERR_FILENO);
  ::close(lowest_free);
  const rlimit none_left{static_cast<rlim_t>(lowest_free), before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none_left);
  return [before] { ::setrlimit(RLIMIT_NOFILE, &before); };
}

std::function<void()> exhaust_simulation(Engine& engine) {
  auto& sim = dynamic_cast<SimEngine&>(engine);
  sim.set_descriptor_limit(0);
  return [&sim] { sim.set_descriptor_limit(1'000'000); };
}

/// Removed when the last that knows it is gone.
struct Folder {
  explicit Folder(std::string where) : path(std::move(where)) {}
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { ::rmdir(path.c_str()); }
  std::string path;
};

std::function<void(Socket&)> listen_at_file(Engine& engine, Socket& listener) {
  std::string folder = "/tmp/stile-XXXXXX";
  EXPECT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/s";
  auto file = std::make_shared<sys::UnixListener>(
      std::move(*sys::UnixListener::create({.path = path, .owner = {}, .group = {}})));
  auto& epoll = dynamic_cast<EpollEngine&>(engine);
  epoll.take(listener, std::move(*file->duplicate()), EpollEngine::Role::listener);
  return [&epoll, path, folder = std::make_shared<Folder>(folder), file](Socket& socket) {
    sys::UniqueFd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    epoll.take(socket, std::move(client), EpollEngine::Role::stream);
  };
}

std::function<void(Socket&)> listen_in_simulation(Engine& engine, Socket& listener) {
  auto& sim = dynamic_cast<SimEngine&>(engine);
  EXPECT_TRUE(sim.listen_local(listener, "/run/s", {}));
  return [&sim](Socket& socket) { EXPECT_TRUE(sim.connect_local(socket, "/run/s", ::geteuid())); };
}

SimFaults rough_network() {
  SimFaults faults;
  faults.short_read = 0.2;
  faults.short_write = 0.2;
  faults.spurious_ready = 0.2;
  faults.late_completion = 0.2;
  faults.shuffle_completions = true;
  faults.split = 0.5;
  faults.latency_min = 10us;
  faults.latency_max = 3ms;
  faults.late_max = 5ms;
  faults.stream_octets_max = 64 * 1024;
  return faults;
}

}  // namespace

const std::vector<EngineKind>& engine_kinds() {
  static const std::vector<EngineKind> kinds{
      {"epoll", []() -> std::unique_ptr<Engine> { return EpollEngine::create().value(); }, true, &exhaust_process,
       &listen_at_file},
      {"sim", []() -> std::unique_ptr<Engine> { return std::make_unique<SimEngine>(1); }, true, &exhaust_simulation,
       &listen_in_simulation},
      {"sim_rough", []() -> std::unique_ptr<Engine> { return std::make_unique<SimEngine>(2, rough_network()); }, false,
       &exhaust_simulation, &listen_in_simulation},
  };
  return kinds;
}

void Actor::completed(Status status) {
  (status == Status::done ? done : canceled)++;
  if (status == Status::done && on_done) on_done();
}

void EngineTest::TearDown() {
  for (Actor& one : actors_) {
    one.on_done = nullptr;
    engine().close(one.socket);
  }
  for (Pipe& one : pipes_) engine().close_pipe(one);
  run_once();
  for (const Actor& one : actors_) EXPECT_FALSE(one.socket.pending());
}

void EngineTest::run_once() {
  engine().stop();
  engine().run();
}

bool EngineTest::run_until(const std::function<bool()>& condition, Duration limit) {
  if (condition()) return true;
  const Instant end = engine().now() + limit;
  bool met = false;
  Counter<Timer> look;
  look.on_done = [&] {
    met = condition();
    if (met || engine().now() >= end) {
      engine().stop();
    } else {
      engine().start_timer(look.record, engine().now() + 1ms);
    }
  };
  engine().start_timer(look.record, engine().now() + 1ms);
  engine().run();
  return met;
}

void EngineTest::run_for(Duration duration) {
  Counter<Timer> end;
  end.on_done = [&] { engine().stop(); };
  engine().start_timer(end.record, engine().now() + duration);
  engine().run();
}

Endpoint EngineTest::listen_on(Actor& listener, const Address& address) {
  const Result<void> listening = engine().listen(listener.socket, Endpoint{address, 0}, {});
  EXPECT_TRUE(listening);
  return engine().local_endpoint(listener.socket).value();
}

void EngineTest::accept_into(Actor& listener, Actor& accepted) {
  for (;;) {
    const Result<Endpoint> peer = engine().try_accept(listener.socket, accepted.socket);
    if (peer) return;
    ASSERT_EQ(peer.error().kind, ErrorKind::would_block);
    ASSERT_TRUE(wait_for(listener, Interest::readable));
  }
}

EngineTest::Pair EngineTest::connected_pair(const Address& address) {
  Actor& listener = actor();
  const Endpoint where = listen_on(listener, address);
  Pair pair{actor(), actor()};
  EXPECT_TRUE(engine().connect(pair.connected.socket, where));
  EXPECT_TRUE(run_until([&] { return pair.connected.completions() == 1; }));
  EXPECT_TRUE(engine().connect_result(pair.connected.socket));
  accept_into(listener, pair.accepted);
  engine().close(listener.socket);
  return pair;
}

bool EngineTest::wait_for(Actor& waiting, Interest interest, Duration limit) {
  const int before = waiting.done;
  engine().wait(waiting.socket, interest);
  return run_until([&] { return waiting.done > before; }, limit);
}

void EngineTest::send_all(Actor& to, std::string_view octets) {
  while (!octets.empty()) {
    const Result<std::size_t> sent = engine().send(to.socket, bytes(octets));
    if (sent) {
      octets.remove_prefix(*sent);
      continue;
    }
    ASSERT_EQ(sent.error().kind, ErrorKind::would_block);
    ASSERT_TRUE(wait_for(to, Interest::writable));
  }
}

std::string EngineTest::receive_exactly(Actor& from, std::size_t count) {
  std::string received(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const MutableBytes into{reinterpret_cast<std::uint8_t*>(received.data()) + have, count - have};
    const Result<std::size_t> got = engine().receive(from.socket, into);
    if (got && *got > 0) {
      have += *got;
    } else if (got || got.error().kind != ErrorKind::would_block || !wait_for(from, Interest::readable)) {
      ADD_FAILURE() << "the stream ended after " << have << " of " << count << " octets";
      break;
    }
  }
  received.resize(have);
  return received;
}

Stream EngineTest::receive_to_end(Actor& from) {
  Stream stream;
  std::vector<std::uint8_t> buffer(100'000);
  for (;;) {
    const Result<std::size_t> got = engine().receive(from.socket, buffer);
    if (got) {
      if (*got == 0) {
        stream.fin = true;
        return stream;
      }
      stream.octets.append(reinterpret_cast<const char*>(buffer.data()), *got);
    } else if (got.error().kind != ErrorKind::would_block) {
      stream.error = got.error();
      return stream;
    } else if (!wait_for(from, Interest::readable)) {
      ADD_FAILURE() << "the stream does not end";
      return stream;
    }
  }
}

std::string pattern(std::size_t size) {
  std::string octets(size, '\0');
  std::uint32_t state = 1;
  for (char& octet : octets) {
    state = state * 1'664'525 + 1'013'904'223;
    octet = static_cast<char>(state >> 24);
  }
  return octets;
}

bool has_ipv6(Engine& engine) {
  Socket probe;
  const bool opened = engine.open_udp(probe, Endpoint{loopback_v6, 0}).has_value();
  engine.close(probe);
  return opened;
}

}  // namespace stile::engine::conformance
