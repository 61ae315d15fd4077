// The engine on Linux epoll.
//
// Edge-triggered: each descriptor is registered once, at its first wait that parks, for everything; what epoll told is
// cached in the Socket until a call would block. So a wait on a ready socket, a changed interest and a move cost no
// system call. A listener is level-triggered, so that it need not be accepted from until that would block, and is muted
// where nobody waits. Events carry the descriptor and a generation; one that is told about a descriptor closed
// meanwhile is dropped.
//
// SIGPIPE is ignored process-wide by `create`, unless the process handles it or the options say that it is not ours to
// do so: splice(2) has no MSG_NOSIGNAL.
// Destroying an engine that still has open sockets or pipes, running timers or queued completions is a programmer's
// fault and asserted.
// Threading: one thread, `wake` excepted. Tested by tests/conformance and epoll_engine_test.cc.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/limits.h"
#include "engine/completion_queue.h"
#include "engine/engine.h"
#include "engine/epoll/spin.h"
#include "engine/prng.h"
#include "engine/timer_queue.h"
#include "sys/unique_fd.h"

struct epoll_event;

namespace stile::engine {

class EpollEngine final : public Engine {
 public:
  struct Options {
    Duration spin = Duration::zero();  // the longest look for events before a sleep (spin.h); zero: none
    Duration keepalive_delay = limits::keepalive_delay;  // other than this for tests
    bool ignore_broken_pipes = true;  // false in somebody else's process: nothing may be spliced then
  };
  [[nodiscard]] static Result<std::unique_ptr<EpollEngine>> create(const Options& options);
  [[nodiscard]] static Result<std::unique_ptr<EpollEngine>> create() { return create(Options{}); }
  ~EpollEngine() override;

  void run() override;
  void stop() noexcept override { stopping_ = true; }
  void post(Operation& operation) noexcept override;
  void wake() noexcept override;
  void on_wake(Operation* operation) noexcept override { on_wake_ = operation; }

  [[nodiscard]] Instant now() const noexcept override { return now_; }
  [[nodiscard]] WallTime wall_now() const noexcept override;
  [[nodiscard]] std::uint64_t random() noexcept override { return prng_.next(); }
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

  /// Opens limits::raw_icmp_sockets_max raw sockets of each family for which the system refuses datagram ones, for
  /// `open_icmp` to lend out: before privileges are dropped. False where it refuses these as well, in both families.
  bool prepare_icmp();

  /// From now on timers are kept to microseconds instead of milliseconds, where the kernel can (epoll_pwait2, Linux
  /// 5.11): for who measures time. It costs nothing but an earlier waking.
  void sleep_precisely() noexcept;

  /// A listening socket as `listen` opens it, for `take`. Any thread.
  struct OpenListener {
    sys::UniqueFd fd;
    Endpoint local;
  };
  [[nodiscard]] static Result<OpenListener> open_listener(const Endpoint& local, const ListenOptions& options);

  enum class Role : std::uint8_t { listener, stream };
  /// Makes an open descriptor this engine's own: non-blocking, of a listening socket or of a connection. Several
  /// engines may share one listening socket, each by a descriptor of its own; whoever is first accepts.
  void take(Socket& socket, sys::UniqueFd fd, Role role) noexcept;

  /// The other way round: the open, not pending socket, which is no engine's any longer. It does not block.
  [[nodiscard]] sys::UniqueFd give(Socket& socket) noexcept;

  /// Where an accepted connection was to go that address translation has led here; not_found where none has.
  [[nodiscard]] static Result<Endpoint> translated_from(const Socket& accepted, Family family) noexcept;

  /// For who waits by something else than `run`: readable where there may be something to do before `time_to_sleep` is
  /// over. `stop(); run();` does it without waiting.
  [[nodiscard]] int descriptor() const noexcept { return epoll_.get(); }
  /// How long nothing is due; absent: for ever.
  [[nodiscard]] std::optional<Duration> time_to_sleep() const noexcept;

  /// Lets the closed `socket` watch a descriptor that a foreign library owns and reads by itself. Only `wait`, `cancel`
  /// and `release` are allowed on it; its waits are level-triggered, at one system call each, since the library does
  /// not say when a read would have blocked.
  void adopt(Socket& socket, int fd) noexcept;
  /// Ends the watching; the descriptor stays open (or was closed by its owner before). A pending wait is cancelled.
  void release(Socket& socket) noexcept;

 private:
  /// Of a dialled connection. Most end before they would need it, and it costs four system calls.
  enum class Keepalive : std::uint8_t { settled, fresh, due };

  /// Who waits on a descriptor. The generation grows when it is given up.
  struct Watch {
    Socket* socket = nullptr;
    std::uint32_t generation = 0;
    Keepalive keepalive = Keepalive::settled;
    // Of a datagram socket: longer datagrams go singly; trains of them were refused, or not asked for.
    std::uint16_t segment_max = 0;
  };

  /// A raw socket and whose it is for the moment.
  struct RawIcmp {
    sys::UniqueFd fd;
    Family family = Family::ipv4;
    std::uint16_t identifier = 0;
    bool lent = false;
  };

  EpollEngine(sys::UniqueFd epoll, sys::UniqueFd wake, sys::UniqueFd reserve, const std::array<std::uint64_t, 4>& seed,
              const Options& options) noexcept;

  void turn();
  [[nodiscard]] std::size_t await_events(std::span<epoll_event> events);
  [[nodiscard]] std::size_t poll(std::span<epoll_event> events, int timeout);
  [[nodiscard]] std::size_t look(std::span<epoll_event> events, Duration budget);
  [[nodiscard]] bool core_is_wanted() noexcept;
  [[nodiscard]] int sleep_milliseconds() const noexcept;
  [[nodiscard]] int poll_precisely(std::span<epoll_event> events) noexcept;
  void on_event(const epoll_event& event) noexcept;
  void on_listener(Socket& socket) noexcept;
  void expire_timers() noexcept;
  void refresh_clock() noexcept;
  void await_keepalive(Socket& socket) noexcept;
  void settle_keepalive(Watch& watch) noexcept;
  void sweep_keepalive() noexcept;

  void opened(Socket& socket, int fd, std::uint8_t flags) noexcept;
  void park(Socket& socket) noexcept;
  void wait_adopted(Socket& socket) noexcept;
  void wait_listening(Socket& socket) noexcept;
  [[nodiscard]] std::uint64_t watch(Socket& socket);
  [[nodiscard]] Watch& watch_of(int fd);
  void complete_if_ready(Socket& socket) noexcept;
  /// It is not ours any longer, and closed to whoever holds it.
  void forget(Socket& socket) noexcept;
  /// Forgets and closes the descriptor; a pending operation is cancelled.
  void give_up(Socket& socket) noexcept;
  /// Makes a socket leave there, its address aside.
  [[nodiscard]] static Result<void> set_egress(int fd, Family family, const Egress* from) noexcept;
  /// Why a connect failed; none where it succeeded.
  [[nodiscard]] static std::optional<Error> connect_error(const Socket& socket) noexcept;
  /// The error behind errno of a stream call, remembered where it ended the stream.
  [[nodiscard]] Error stream_error(Socket& socket, int errno_value) noexcept;

  [[nodiscard]] Result<std::size_t> send_alone(Socket& socket, const Datagram& first, int why);

  /// nullptr for a datagram socket.
  [[nodiscard]] RawIcmp* raw_icmp(int fd) noexcept;
  /// False where `fd` is none of them.
  bool take_back_icmp(int fd) noexcept;
  [[nodiscard]] Result<EchoAnswer> receive_echo_reply(Socket& socket, MutableBytes room);

  sys::UniqueFd epoll_;
  sys::UniqueFd wake_;
  sys::UniqueFd reserve_;       // given up for a moment where no descriptor is left; see shed_one
  std::vector<Watch> watches_;  // by descriptor
  std::vector<RawIcmp> raw_icmp_;
  Spin spin_;
  long core_wanted_ = 0;  // involuntary context switches of this thread, when last asked
  std::uint32_t looks_ = 0;
  const Duration keepalive_delay_;
  std::size_t keepalives_awaited_ = 0;      // watches whose keepalive is not settled
  Instant keepalive_sweep_{};               // the next, where there are any
  std::unique_ptr<std::uint8_t[]> trains_;  // where trains are put together, from the first datagram sent on
  CompletionQueue queue_;
  TimerQueue timers_;
  Prng prng_;
  Operation* on_wake_ = nullptr;
  std::atomic<bool> woken_ = false;  // the eventfd was written since the last turn that saw it
  bool stopping_ = false;
  bool precise_ = false;
  Instant now_{};
  std::size_t open_sockets_ = 0;
  std::size_t open_pipes_ = 0;
};

}  // namespace stile::engine
