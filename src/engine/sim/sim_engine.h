// The engine as a deterministic simulation: a virtual clock, and a network inside the engine that connects the sockets
// opened on it with each other. The code under test and the clients and origins that test it run side by side on one
// SimEngine, all through engine.h. Equal seeds and equal calls give equal runs on every machine and compiler.
//
// The network is flat: any endpoint may be listened on and reached, except as `set_route` says; one that nobody listens
// on refuses. A listener on 0.0.0.0 or :: takes what goes to a loopback or own address.
// Refuses: real time, real descriptors, threads.
// Threading: one thread, `wake` included. Tested by tests/conformance and sim_engine_test.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/completion_queue.h"
#include "engine/engine.h"
#include "engine/prng.h"
#include "engine/sim/sim_faults.h"
#include "engine/sim/sim_state.h"
#include "engine/timer_queue.h"

namespace stile::engine {

class SimEngine final : public Engine {
 public:
  explicit SimEngine(std::uint64_t seed, const SimFaults& faults = {});
  /// Like the epoll engine's: nothing may be open, running or queued (asserted).
  ~SimEngine() override;

  // ── running ───────────────────────────────────────────────────────────────────────────────────────────────────
  /// Until `stop`, or until nothing is left that could ever happen: no event under way, no timer, no completion.
  void run() override { (void)run_until_idle(); }
  /// The same; false when it was stopped, or when the code under test `spun`.
  bool run_until_idle();
  /// Lets `duration` pass; false as above.
  bool run_for(Duration duration);
  /// The last run was given up after a million turns in which no time passed: something completes and waits again for
  /// ever.
  [[nodiscard]] bool spun() const noexcept { return turns_in_place_ >= turns_in_place_max; }

  // ── the world ─────────────────────────────────────────────────────────────────────────────────────────────────
  /// May be changed at any time; calls and events from then on follow it.
  [[nodiscard]] SimFaults& faults() noexcept { return faults_; }
  /// The longest prefix that holds a destination decides how it answers.
  void set_route(const Cidr& where, const SimBehaviour& behaviour);
  void set_route(const Address& where, const SimBehaviour& behaviour);
  /// This host's address of that family, from which it connects to others than loopback.
  void set_own_address(const Address& address);
  /// The routers between this host and there, nearest first: an echo request needs a hop for each, and a router whose
  /// own route is silent drops the request that ends at it. The longest prefix decides; by default there are none.
  void set_path(const Cidr& where, std::vector<Address> routers);
  /// This host has such an interface, beside the loopback interface "lo".
  void add_interface(const InterfaceName& name) { interfaces_.push_back(name); }
  /// Marks are refused, as Linux does without CAP_NET_RAW and CAP_NET_ADMIN.
  void set_marks_refused(bool refused) noexcept { marks_refused_ = refused; }
  /// Sockets for echo requests are refused, as Linux does outside net.ipv4.ping_group_range.
  void set_icmp_refused(bool refused) noexcept { icmp_refused_ = refused; }
  /// The source address of the connects that follow, for clients from elsewhere. nullopt: this host's own again.
  void connect_from(std::optional<Address> source) { source_ = source; }
  /// Opening more handles (a pipe needs two) than this fails with no_descriptors.
  void set_descriptor_limit(std::size_t handles_max) noexcept { descriptors_max_ = handles_max; }

  /// Opens a listener at a Unix-domain socket, which stands for a path.
  [[nodiscard]] Result<void> listen_local(Socket& listener, const std::string& path, const ListenOptions& options);
  /// Connects to it as `user`; otherwise as `connect`.
  [[nodiscard]] std::expected<void, ConnectFailure> connect_local(Socket& socket, const std::string& path,
                                                                  std::uint32_t user);

  // ── injected failure ──────────────────────────────────────────────────────────────────────────────────────────
  /// The `call`-th fallible call of the run, counted from 1, fails with `error`.
  void fail_nth(std::uint64_t call, const Error& error) noexcept;
  /// Fallible calls so far, bystanders' excepted.
  [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }

  /// While one exists, calls belong to the test's own actors: not counted, not failed, beside the descriptor limit.
  class Bystander {
   public:
    explicit Bystander(SimEngine& engine) noexcept : engine_(engine) { ++engine_.bystanders_; }
    ~Bystander() { --engine_.bystanders_; }
    Bystander(const Bystander&) = delete;
    Bystander& operator=(const Bystander&) = delete;

   private:
    SimEngine& engine_;
  };

  // ── the balance ───────────────────────────────────────────────────────────────────────────────────────────────
  [[nodiscard]] std::size_t open_sockets() const noexcept { return open_sockets_; }
  [[nodiscard]] std::size_t open_pipes() const noexcept { return open_pipes_; }
  [[nodiscard]] std::size_t pending_timers() const noexcept { return timers_.size(); }
  /// Connections that at least one side still holds or that wait to be accepted.
  [[nodiscard]] std::size_t open_connections() const noexcept { return connections_.size(); }
  /// A digest of all that was delivered so far, and when.
  [[nodiscard]] std::uint64_t trace_hash() const noexcept { return trace_hash_; }

  // ── Engine ────────────────────────────────────────────────────────────────────────────────────────────────────
  void stop() noexcept override { stopping_ = true; }
  void post(Operation& operation) noexcept override;
  void wake() noexcept override { woken_ = true; }
  void on_wake(Operation* operation) noexcept override { on_wake_ = operation; }

  [[nodiscard]] Instant now() const noexcept override { return now_; }
  /// Begins at 2026-01-01T00:00:00Z.
  [[nodiscard]] WallTime wall_now() const noexcept override;
  [[nodiscard]] std::uint64_t random() noexcept override { return callers_prng_.next(); }
  void start_timer(Timer& timer, Instant deadline) noexcept override;
  void cancel(Timer& timer) noexcept override;
  void cancel(Socket& socket) noexcept override;

  [[nodiscard]] Result<void> listen(Socket& listener, const Endpoint& local, const ListenOptions& options) override;
  [[nodiscard]] Result<Endpoint> try_accept(Socket& listener, Socket& accepted) override;
  bool shed_one(Socket& listener) override;
  using Engine::connect;
  [[nodiscard]] std::expected<void, ConnectFailure> connect(Socket& socket, const Endpoint& peer,
                                                            const ConnectOptions& options) override;
  [[nodiscard]] std::expected<void, ConnectFailure> connect_result(Socket& socket) override;
  void wait(Socket& socket, Interest interest) override;
  void post(Socket& socket) noexcept override;
  [[nodiscard]] Result<std::size_t> receive(Socket& socket, MutableBytes into) override;
  [[nodiscard]] Result<std::size_t> send(Socket& socket, ConstBytes octets) override;
  [[nodiscard]] Result<void> shutdown_write(Socket& socket) override;
  [[nodiscard]] bool failed(const Socket& socket) const noexcept override;
  void close(Socket& socket) noexcept override;
  void abort(Socket& socket) noexcept override;
  void move(Socket& from, Socket& to) noexcept override;
  [[nodiscard]] Result<Endpoint> local_endpoint(const Socket& socket) const override;
  [[nodiscard]] Result<Endpoint> peer_endpoint(const Socket& socket) const override;
  [[nodiscard]] std::optional<std::uint32_t> peer_user(const Socket& socket) const noexcept override;
  using Engine::source_towards;
  [[nodiscard]] Result<Address> source_towards(const Address& destination, const Egress* from) override;

  [[nodiscard]] Result<void> open_pipe(Pipe& pipe, std::size_t capacity_wanted) override;
  void close_pipe(Pipe& pipe) noexcept override;
  [[nodiscard]] Result<std::size_t> splice_in(Socket& from, Pipe& pipe, std::size_t octets_max) override;
  [[nodiscard]] Result<std::size_t> splice_out(Pipe& pipe, Socket& to) override;

  using Engine::open_udp;
  [[nodiscard]] Result<void> open_udp(Socket& socket, const Endpoint& local, const Egress* from) override;
  [[nodiscard]] Result<void> use_trains(Socket& socket) override;
  [[nodiscard]] Result<std::size_t> receive_datagrams(Socket& socket, std::span<Datagram> datagrams) override;
  [[nodiscard]] Result<std::size_t> send_datagrams(Socket& socket, std::span<const Datagram> datagrams) override;

  [[nodiscard]] Result<void> keep_datagram_errors(Socket& socket) override;
  [[nodiscard]] Result<DatagramError> receive_datagram_error(Socket& socket) override;

  [[nodiscard]] Result<void> open_icmp(Socket& socket, Family family) override;
  [[nodiscard]] Result<Instant> send_echo(Socket& socket, const EchoProbe& probe) override;
  [[nodiscard]] Result<EchoAnswer> receive_echo(Socket& socket, MutableBytes room) override;

 private:
  static constexpr std::uint64_t turns_in_place_max = 1'000'000;

  struct Wakeup {
    int handle;
    std::uint32_t generation;
  };
  struct Route {
    Cidr where;
    SimBehaviour behaviour;
  };
  struct Path {
    Cidr where;
    std::vector<Address> routers;
  };
  /// The two sides of a connection, as one of them sees it.
  struct View {
    sim::Connection& connection;
    sim::Side& mine;
    sim::Side& peers;
  };

  // The loop (sim_engine.cc).
  bool run_until(Instant end);
  bool turn(Instant end);
  [[nodiscard]] bool advance(Instant end);
  void deliver_events();
  void deliver_wakeups();
  void after(Duration delay, std::function<void()> act) { at(now_ + delay, std::move(act)); }
  void at(Instant when, std::function<void()> act);
  [[nodiscard]] Duration latency();
  [[nodiscard]] Duration random_up_to(Duration most);
  void trace(std::uint64_t what, std::uint64_t detail) noexcept;
  void trace(ConstBytes octets) noexcept;

  // Handles and readiness (sim_engine.cc).
  [[nodiscard]] std::optional<Error> injected() noexcept;
  [[nodiscard]] bool room_for(std::size_t handles) const noexcept;
  int open_node(sim::Node::Kind kind, Socket* socket);
  void close_node(int handle) noexcept;
  [[nodiscard]] sim::Node& node(const Socket& socket) { return nodes_[static_cast<std::size_t>(socket.handle())]; }
  [[nodiscard]] const sim::Node& node(const Socket& socket) const {
    return nodes_[static_cast<std::size_t>(socket.handle())];
  }
  void notify(int handle);
  void wake_spuriously(int handle);
  void complete_if_ready(const Wakeup& wakeup);
  [[nodiscard]] bool satisfied(const sim::Node& node) const;
  [[nodiscard]] std::uint8_t ready_bits(const sim::Node& node) const;

  // Addresses (sim_engine.cc).
  [[nodiscard]] const SimBehaviour& behaviour_of(const Address& destination) const;
  [[nodiscard]] Address source_for(const Address& destination) const;
  [[nodiscard]] bool is_here(const Address& address) const;
  [[nodiscard]] Endpoint place_of(const std::string& path);
  [[nodiscard]] std::optional<std::uint16_t> free_port(const Address& address, const std::multiset<Endpoint>& used);

  // TCP (sim_tcp.cc).
  [[nodiscard]] View view(const sim::Node& node);
  [[nodiscard]] sim::Connection* find(sim::ConnectionId id);
  [[nodiscard]] std::optional<int> listener_for(const Endpoint& destination);
  void syn_arrives(sim::ConnectionId id);
  void establish(sim::ConnectionId id, int listener, std::uint32_t generation);
  void fail_connect(sim::ConnectionId id, const Error& error, const std::optional<IcmpReport>& icmp);
  void random_connect_failure(sim::ConnectionId id);
  /// Schedules `act(connection, side)` behind all that is under way to that side.
  void send_to(sim::ConnectionId id, int side, std::function<void(sim::Connection&, sim::Side&)> act);
  void send_octets(sim::ConnectionId id, int side, ConstBytes octets);
  void send_reset(sim::ConnectionId id, int side);
  void lose_flight(sim::Side& to);
  void erase_if_done(sim::ConnectionId id);
  void let_go(Socket& socket, bool with_reset) noexcept;
  void close_stream(sim::Node& node, bool with_reset);
  [[nodiscard]] std::size_t room(const sim::Side& to) const noexcept;
  [[nodiscard]] std::optional<Error> stream_fault(Socket& socket);
  [[nodiscard]] Error note(Socket& socket, const Error& error);
  [[nodiscard]] Result<std::size_t> receive_now(Socket& socket, MutableBytes into);
  [[nodiscard]] Result<std::size_t> send_now(Socket& socket, ConstBytes octets);

  [[nodiscard]] std::optional<Error> egress_fault(const Egress* from) const noexcept;

  // UDP (sim_udp.cc).
  [[nodiscard]] std::optional<Error> leftover(sim::Node& of);
  [[nodiscard]] Result<void> send_one(int handle, const Datagram& datagram);
  void couple(sim::Node& from, Datagram& into, std::size_t room);
  void reject(const Wakeup& sender, const Endpoint& peer, const SimBehaviour& behaviour);
  [[nodiscard]] static std::optional<Error> left_behind(sim::Node& node) noexcept;
  void deliver(const Endpoint& from, const Endpoint& to, const std::vector<std::uint8_t>& octets);

  // ICMP (sim_icmp.cc).
  [[nodiscard]] const std::vector<Address>& path_to(const Address& destination) const;
  [[nodiscard]] bool echo_answer(const EchoProbe& probe, const SimBehaviour& behaviour, sim::Echo& answer) const;
  void deliver_echo(const Wakeup& asker, const sim::Echo& answer);

  SimFaults faults_;
  Prng prng_;
  Prng callers_prng_;
  Instant now_{};
  std::uint64_t trace_hash_ = 0xcbf29ce484222325u;
  bool stopping_ = false;
  bool woken_ = false;
  Operation* on_wake_ = nullptr;
  CompletionQueue queue_;
  TimerQueue timers_;
  std::uint64_t turns_in_place_ = 0;

  std::vector<sim::Event> events_;  // a heap
  std::uint64_t next_sequence_ = 0;
  std::vector<Wakeup> wakeups_;

  std::deque<sim::Node> nodes_;  // by handle; a deque, so that references stay
  std::set<int> free_handles_;
  std::size_t open_sockets_ = 0;
  std::size_t open_pipes_ = 0;
  std::size_t descriptors_ = 0;  // bystanders' excepted
  std::size_t descriptors_max_ = 1'000'000;

  std::map<sim::ConnectionId, sim::Connection> connections_;
  sim::ConnectionId next_connection_ = 1;
  std::map<Endpoint, std::vector<int>> listeners_;
  std::map<Endpoint, int> udp_ports_;
  std::multiset<Endpoint> tcp_in_use_;
  std::multiset<Endpoint> udp_in_use_;
  std::uint16_t next_port_;

  std::vector<Route> routes_;
  std::vector<Path> paths_;
  bool icmp_refused_ = false;
  std::vector<InterfaceName> interfaces_;
  bool marks_refused_ = false;
  Address own_v4_;
  Address own_v6_;
  std::optional<Address> source_;
  std::map<std::string, Endpoint> local_places_;  // where in the network a path stands, unknown to everybody

  std::uint64_t calls_ = 0;
  std::uint64_t fail_at_ = 0;
  Error fail_with_{};
  int bystanders_ = 0;
};

}  // namespace stile::engine
