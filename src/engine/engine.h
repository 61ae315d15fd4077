// The loop's contract. Two engines stand behind it: epoll (epoll/) and a deterministic simulation (sim/); one
// conformance suite, tests/conformance, judges both.
//
// Two kinds of call:
//   * An *operation* is started, and its record, which the caller owns and keeps in place until then, is completed
//     exactly once: `wait`, `connect`, `start_timer`, `post`. Completions run from a queue inside `run`, never inline
//     in the call that started, finished or cancelled the operation. Cancelling a pending operation yields its one
//     completion with Status::canceled (or Status::done, if it was already queued as done). So a completion may find
//     its socket closed by another completion of the same turn.
//   * An *immediate* call never blocks and never completes later: `receive`, `send`, `splice`, `try_accept`, …. It
//     does what is possible at once or says ErrorKind::would_block; `wait` then tells when to try again.
// Why not buffers in operations: an idle tunnel would hold one (docs/decisions/0001-engine-contract.md).
//
// Threading: an engine belongs to one thread; only `wake` may be called from others.
// Refuses: to know any protocol, policy or session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/interface_name.h"
#include "base/time.h"

namespace stile::engine {

enum class Status : std::uint8_t { done, canceled };

/// What a wait is for. A failed socket (`Engine::failed`: reset or socket error) completes a wait of any interest,
/// `none` included. The peer's FIN counts as readable, a full hang-up as readable and writable: neither completes
/// `none`, or a half-closed socket that has nothing left to do would spin.
enum class Interest : std::uint8_t { none = 0, readable = 1, writable = 2, both = 3 };

/// A caller-owned operation record. Bind it once to a member function `void f(Status)`; it may be started again as
/// soon as its completion runs. It must not be destroyed or moved while pending (asserted).
class Operation {
 public:
  Operation() noexcept = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() { STILE_ASSERT(!pending()); }

  /// `operation.bind<&Connection::on_deadline>(this)`
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    owner_ = owner;
    handler_ = [](void* bound, Status status) { (static_cast<Owner*>(bound)->*Method)(status); };
  }

  /// Started and not yet completed.
  [[nodiscard]] bool pending() const noexcept { return phase_ != Phase::idle; }

 private:
  friend class CompletionQueue;

  /// `withdrawn`: started again while its completion was queued; the queue passes over it.
  enum class Phase : std::uint8_t { idle, started, queued, withdrawn };

  using Handler = void (*)(void*, Status);
  Handler handler_ = nullptr;
  void* owner_ = nullptr;
  Operation* next_ = nullptr;  // in the completion queue
  Phase phase_ = Phase::idle;
  Status status_ = Status::done;
};

/// A one-shot timer: completes at or soon after its deadline.
class Timer : public Operation {
 public:
  [[nodiscard]] Instant deadline() const noexcept { return deadline_; }

 private:
  friend class TimerQueue;
  static constexpr std::uint32_t outside_heap = UINT32_MAX;
  std::uint32_t heap_index_ = outside_heap;  // first: it fits into what Operation leaves of its last word
  Instant deadline_{};
};

/// One socket, owned by the caller, closed by Engine::close or Engine::abort before destruction (asserted). At most one
/// operation (`wait` or `connect`) is pending on it at a time.
class Socket {
 public:
  Socket() noexcept = default;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { STILE_ASSERT(!is_open()); }

  /// Binds the completion of this socket's waits and connects; see Operation::bind.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    operation_.bind<Method>(owner);
  }

  [[nodiscard]] bool is_open() const noexcept { return handle_ >= 0; }
  [[nodiscard]] bool pending() const noexcept { return operation_.pending(); }
  /// The engine's handle: a descriptor under epoll, an index in the simulation. For engines and diagnostics only.
  [[nodiscard]] int handle() const noexcept { return handle_; }

 private:
  friend class SocketState;  // engines reach the fields below through it (engine/socket_state.h)

  Operation operation_;
  int handle_ = -1;
  Interest interest_ = Interest::none;  // of the pending wait
  std::uint8_t ready_ = 0;              // engine's own readiness cache
  std::uint8_t flags_ = 0;              // engine's own
  std::uint8_t failure_ = 0;            // 1 + ErrorKind of the error that ended the stream; 0: none was noticed
};

/// A kernel pipe (or its simulation) that carries octets between two sockets without copying them to user space.
/// Owned by the caller, returned by Engine::close_pipe before destruction (asserted).
class Pipe {
 public:
  Pipe() noexcept = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() { STILE_ASSERT(!is_open()); }

  [[nodiscard]] bool is_open() const noexcept { return read_handle >= 0; }

  // For engines only.
  int read_handle = -1;
  int write_handle = -1;
  std::size_t capacity = 0;  // octets of whole pages, as the kernel granted them; it may be full before or hold more
  std::size_t held = 0;      // octets inside, kept by the splice calls
};

/// An ICMP error that the network sent about a connection attempt, a datagram or an echo request (from the socket's
/// error queue).
struct IcmpReport {
  Family family = Family::ipv4;
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  Address offender;  // who sent it; unspecified where unknown

  friend bool operator==(const IcmpReport&, const IcmpReport&) = default;
};

/// Where a socket of ours leaves this host, said before it is used. What is left out is the system's choice.
struct Egress {
  std::optional<Address> address = {};
  bool foreign = false;          // it need not stand on an interface of this host (Linux IP_FREEBIND, ip(7))
  InterfaceName interface = {};  // nothing leaves or arrives by another (SO_BINDTODEVICE, socket(7))
  std::uint32_t mark = 0;        // for the system's routing (SO_MARK, socket(7)), a privilege; 0: none
};

struct ConnectOptions {
  const Egress* from = nullptr;  // its address, where it has one, is of the peer's family
  // Where the system knows a cookie of the peer's, the connect succeeds before the peer has answered, `peer_endpoint`
  // fails as long, and what is sent first leaves with the SYN (RFC 7413), perhaps twice; what would have failed the
  // connect fails a later call instead. Elsewhere it connects as without. For who sends first, and at once.
  bool fast_open = false;
};

/// How a connect ended when it did not succeed.
struct ConnectFailure {
  Error error;
  std::optional<IcmpReport> icmp;  // present when the network itself reported it, absent for a local refusal
  bool egress = false;             // the socket could not be made to leave there
};

struct ListenOptions {
  int backlog = 4096;
  bool reuse_port = false;         // for the server's own workers only
  const Egress* egress = nullptr;  // where answers leave; `address` is not looked at
  bool fast_open = false;          // takes data that comes with a SYN (RFC 7413), where the system does
};

/// One datagram to send, or what was just received. `payload` lies in the caller's buffer.
struct Datagram {
  Endpoint peer;         // receive: who sent it; send: where it goes
  MutableBytes payload;  // receive: in = room, out = what came; send: what goes
  bool truncated = false;
  ConstBytes head{};  // send: octets of the same datagram, in front of `payload`
  // Receive, after `use_trains`: not 0 where `payload` is a train, several datagrams of this length one behind
  // another, the last perhaps shorter.
  std::size_t segment = 0;
  // Receive: what the socket had lost since it was opened, for want of room in its queue, when this one came; wraps.
  std::uint32_t lost = 0;
};

/// An ICMP error that the network sent about a datagram.
struct DatagramError {
  Endpoint peer;  // where the datagram went
  IcmpReport icmp;
};

/// An echo request (RFC 792, RFC 4443 section 4.1). The engine adds the socket's identifier.
struct EchoProbe {
  Address to;
  std::uint16_t sequence = 0;
  std::uint8_t hops_max = 64;  // TTL or hop limit; at least 1
  ConstBytes payload;          // at most limits::ping_payload_octets
};

/// What came of a probe: its reply, or an ICMP error about it.
struct EchoAnswer {
  Address from;                     // who sent it
  Address probed;                   // where the probe went: of an error, as the error quotes it
  std::uint16_t sequence = 0;       // the probe's
  std::uint8_t ttl = 0;             // left of the reply's TTL or hop limit; 0 for an error
  std::optional<IcmpReport> error;  // absent: a reply
  MutableBytes payload;             // the reply's, in the caller's buffer
  Instant at{};                     // when it arrived at this host
};

class Engine {
 public:
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────
  /// Runs until `stop`, at least one turn. Everything that became ready in one turn is queued first and completed
  /// after.
  virtual void run() = 0;
  /// Makes `run` return after the completions of this turn; said before `run`, after one turn. What these completions
  /// cancelled is still queued then: closing everything and `stop(); run();` delivers it.
  virtual void stop() noexcept = 0;
  /// Queues `operation` for completion in this turn or the next.
  virtual void post(Operation& operation) noexcept = 0;
  /// From any thread, any number of times: the operation bound with `on_wake` completes at least once afterwards.
  virtual void wake() noexcept = 0;
  /// The operation that `wake` completes, every time; it is pending only from a wake to its completion. nullptr to
  /// forget it.
  virtual void on_wake(Operation* operation) noexcept = 0;

  // ── time and chance ───────────────────────────────────────────────────────────────────────────────────────────
  /// The monotonic clock, read once a turn.
  [[nodiscard]] virtual Instant now() const noexcept = 0;
  /// The wall clock, for records.
  [[nodiscard]] virtual WallTime wall_now() const noexcept = 0;
  /// 64 unpredictable bits (in the simulation: from the seed).
  [[nodiscard]] virtual std::uint64_t random() noexcept = 0;
  /// Starts, or moves, a timer. One whose completion is queued already is moved as well: it completes once, later.
  virtual void start_timer(Timer& timer, Instant deadline) noexcept = 0;

  // ── cancelling ────────────────────────────────────────────────────────────────────────────────────────────────
  /// A no-op when the timer is not pending.
  virtual void cancel(Timer& timer) noexcept = 0;
  /// Cancels the socket's pending wait or connect; the socket stays open. A no-op when nothing is pending.
  virtual void cancel(Socket& socket) noexcept = 0;

  // ── TCP ───────────────────────────────────────────────────────────────────────────────────────────────────────
  /// Opens `listener`, bound and listening. IPv6 sockets are V6ONLY. Port 0 lets the kernel choose.
  [[nodiscard]] virtual Result<void> listen(Socket& listener, const Endpoint& local, const ListenOptions& options) = 0;
  /// Takes one waiting connection into `accepted` (closed before) and says who it is. would_block when none waits.
  [[nodiscard]] virtual Result<Endpoint> try_accept(Socket& listener, Socket& accepted) = 0;
  /// Gives up one descriptor to accept and at once abort one waiting connection, where descriptors are exhausted.
  /// False when no reserve descriptor could be had back or nothing waited.
  virtual bool shed_one(Socket& listener) = 0;
  /// Opens `socket` (closed before) and connects; one completion of the socket's operation, then `connect_result`.
  /// A failure known at once is returned; nothing is pending then, and the socket is closed.
  [[nodiscard]] virtual std::expected<void, ConnectFailure> connect(Socket& socket, const Endpoint& peer,
                                                                    const ConnectOptions& options) = 0;
  [[nodiscard]] std::expected<void, ConnectFailure> connect(Socket& socket, const Endpoint& peer) {
    return connect(socket, peer, {});
  }
  /// After the completion of `connect` with Status::done, once. A failure leaves the socket closed.
  [[nodiscard]] virtual std::expected<void, ConnectFailure> connect_result(Socket& socket) = 0;
  /// Starts a wait; completes when the socket is ready for any of `interest`, or failed or was reset. May complete
  /// although the socket is not ready. Moves the interest of a wait that is already pending.
  virtual void wait(Socket& socket, Interest interest) = 0;
  /// Completes the socket's wait, which begins here where none is pending, in the next turn, ready or not: for an owner
  /// that has received octets and not used them yet.
  virtual void post(Socket& socket) noexcept = 0;
  /// Immediate. 0 means the peer's FIN. `into` must not be empty. What arrived before a reset is received first, then
  /// the error, every time; a reset is never taken for a FIN.
  [[nodiscard]] virtual Result<std::size_t> receive(Socket& socket, MutableBytes into) = 0;
  /// Immediate. May send fewer octets than asked, at least one of the at least one given. Never raises SIGPIPE.
  [[nodiscard]] virtual Result<std::size_t> send(Socket& socket, ConstBytes octets) = 0;
  /// Sends FIN; the other direction stays open.
  [[nodiscard]] virtual Result<void> shutdown_write(Socket& socket) = 0;
  /// True once the peer's RST or a socket error was noticed; `receive` then reports it.
  [[nodiscard]] virtual bool failed(const Socket& socket) const noexcept = 0;
  /// Closes in order (FIN, or RST when unread input is left, as the kernel does). A pending operation is cancelled.
  /// Closing a closed socket changes nothing.
  virtual void close(Socket& socket) noexcept = 0;
  /// Closes with RST, so that the peer cannot take a truncated stream for a complete one.
  virtual void abort(Socket& socket) noexcept = 0;
  /// Hands the open, not pending `from` to the closed, not pending `to`. Bound completions stay with their records.
  virtual void move(Socket& from, Socket& to) noexcept = 0;
  [[nodiscard]] virtual Result<Endpoint> local_endpoint(const Socket& socket) const = 0;
  [[nodiscard]] virtual Result<Endpoint> peer_endpoint(const Socket& socket) const = 0;
  /// A listener may be a Unix-domain socket; each engine has its own way to open one (EpollEngine::take,
  /// SimEngine::listen_local). Its connections are streams as above, whose endpoints, `try_accept`'s included, are
  /// unspecified. Such a socket knows no RST: the peer takes an abort for what the kernel makes of it, a FIN mostly.
  /// The user behind the peer of an accepted one, as the kernel says; absent for TCP.
  [[nodiscard]] virtual std::optional<std::uint32_t> peer_user(const Socket& socket) const noexcept = 0;
  /// The address of this host from which packets to `destination` leave. Sends nothing. `from`: of a socket that
  /// leaves there.
  [[nodiscard]] virtual Result<Address> source_towards(const Address& destination, const Egress* from) = 0;
  [[nodiscard]] Result<Address> source_towards(const Address& destination) {
    return source_towards(destination, nullptr);
  }

  // ── splicing ──────────────────────────────────────────────────────────────────────────────────────────────────
  /// `pipe.capacity` says what was granted.
  [[nodiscard]] virtual Result<void> open_pipe(Pipe& pipe, std::size_t capacity_wanted) = 0;
  virtual void close_pipe(Pipe& pipe) noexcept = 0;
  /// Immediate. Moves what has arrived at `from`, at most `octets_max`, into the pipe. 0 means the peer's FIN.
  /// would_block while `pipe.held` is not 0 may mean that the pipe is full: empty it before waiting for `from`.
  [[nodiscard]] virtual Result<std::size_t> splice_in(Socket& from, Pipe& pipe, std::size_t octets_max) = 0;
  /// Immediate. Moves what the pipe holds (not nothing) to `to`, as far as it takes it.
  [[nodiscard]] virtual Result<std::size_t> splice_out(Pipe& pipe, Socket& to) = 0;

  // ── UDP ───────────────────────────────────────────────────────────────────────────────────────────────────────
  /// Opens a datagram socket bound to `local`. IPv6 sockets are V6ONLY. `from`: where it leaves; its `address` is not
  /// looked at.
  [[nodiscard]] virtual Result<void> open_udp(Socket& socket, const Endpoint& local, const Egress* from) = 0;
  [[nodiscard]] Result<void> open_udp(Socket& socket, const Endpoint& local) {
    return open_udp(socket, local, nullptr);
  }
  /// From now on datagrams of one sender may come as trains (Datagram::segment; Linux udp(7), UDP_GRO): what is given
  /// to `receive_datagrams` needs room for 65,535 octets each, or trains are cut short. And what `send_datagrams` takes
  /// may leave so (UDP_SEGMENT): neighbours of equal size with one destination; their receiver cannot tell. An error
  /// where the system gives no trains: datagrams come one by one then.
  [[nodiscard]] virtual Result<void> use_trains(Socket& socket) = 0;
  /// Immediate. Fills datagrams front to back and says how many; would_block when none waits.
  [[nodiscard]] virtual Result<std::size_t> receive_datagrams(Socket& socket, std::span<Datagram> datagrams) = 0;
  /// Immediate. Sends front to back and says how many went; the error is that of the first one that did not go.
  [[nodiscard]] virtual Result<std::size_t> send_datagrams(Socket& socket, std::span<const Datagram> datagrams) = 0;

  /// From now on ICMP errors about this socket's datagrams are kept for `receive_datagram_error`. Each also fails one
  /// later call on the socket, whatever that is about, unless it is read before.
  [[nodiscard]] virtual Result<void> keep_datagram_errors(Socket& socket) = 0;
  /// Immediate. The next of them; would_block when there is none. A wait for `readable` completes when there is one.
  [[nodiscard]] virtual Result<DatagramError> receive_datagram_error(Socket& socket) = 0;

  // ── ICMP echo ─────────────────────────────────────────────────────────────────────────────────────────────────
  /// Opens a socket for echo requests, with an identifier of its own. not_permitted where the system refuses them to
  /// this process; no_descriptors where too many are open. `wait` tells when an answer may be there.
  [[nodiscard]] virtual Result<void> open_icmp(Socket& socket, Family family) = 0;
  /// Immediate. Says when the probe left. An ICMP error about an earlier probe is never taken for this one's.
  [[nodiscard]] virtual Result<Instant> send_echo(Socket& socket, const EchoProbe& probe) = 0;
  /// Immediate. The next answer that bears the socket's identifier; others are passed over. `room` takes the payload,
  /// cut to it. Anybody can forge an answer: whether sequence, sender and payload are those of a probe under way is the
  /// caller's to check.
  [[nodiscard]] virtual Result<EchoAnswer> receive_echo(Socket& socket, MutableBytes room) = 0;

 protected:
  Engine() noexcept = default;
};

}  // namespace stile::engine
