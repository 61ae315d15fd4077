#include "engine/epoll/epoll_engine.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <csignal>
#include <ctime>

#include "engine/epoll/epoll_flags.h"
#include "sys/diverted_socket.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/socket_options.h"

namespace stile::engine {
namespace {

constexpr std::uint64_t wake_tag = UINT64_MAX;  // no descriptor with this number exists
constexpr std::size_t events_per_turn_max = 512;
constexpr int rounds_per_turn_max = 8;
constexpr std::size_t watches_more_min = 256;
constexpr std::uint32_t looks_per_question = 16;
constexpr long switches_of_a_free_core = 4;

constexpr std::uint32_t stream_events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

constexpr bool has(Interest interest, Interest part) noexcept {
  return (static_cast<std::uint8_t>(interest) & static_cast<std::uint8_t>(part)) != 0;
}

void ignore_sigpipe() noexcept {
  struct sigaction current{};
  if (::sigaction(SIGPIPE, nullptr, &current) == 0 && (current.sa_flags & SA_SIGINFO) == 0 &&
      current.sa_handler == SIG_DFL) {
    ::signal(SIGPIPE, SIG_IGN);
  }
}

std::uint8_t ready_bits(std::uint32_t events, bool is_stream) noexcept {
  std::uint8_t bits = 0;
  if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP)) != 0) epoll::set(bits, epoll::readable);
  if ((events & EPOLLOUT) != 0) epoll::set(bits, epoll::writable);
  // After a hang-up or an error neither a read nor a write would block.
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) epoll::set(bits, epoll::readable | epoll::writable);
  if ((events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) epoll::set(bits, epoll::short_read_proves_nothing);
  if ((events & EPOLLERR) != 0) epoll::set(bits, is_stream ? epoll::error : epoll::reports);
  return bits;
}

}  // namespace

Result<std::unique_ptr<EpollEngine>> EpollEngine::create(const Options& options) {
  sys::UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll.is_open()) return std::unexpected(sys::make_error(errno));
  sys::UniqueFd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!wake.is_open()) return std::unexpected(sys::make_error(errno));
  // Never read: each write is an edge of its own.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = wake_tag}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) == -1) {
    return std::unexpected(sys::make_error(errno));
  }
  sys::UniqueFd reserve{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  if (!reserve.is_open()) return std::unexpected(sys::make_error(errno));
  std::array<std::uint64_t, 4> seed{};
  if (sys::retry([&] { return ::getrandom(seed.data(), sizeof seed, 0); }) != sizeof seed) {
    return std::unexpected(sys::make_error(errno));
  }
  if (options.ignore_broken_pipes) ignore_sigpipe();
  return std::unique_ptr<EpollEngine>(
      new EpollEngine(std::move(epoll), std::move(wake), std::move(reserve), seed, options));
}

EpollEngine::EpollEngine(sys::UniqueFd epoll, sys::UniqueFd wake, sys::UniqueFd reserve,
                         const std::array<std::uint64_t, 4>& seed, const Options& options) noexcept
    : epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      reserve_(std::move(reserve)),
      spin_(options.spin),
      keepalive_delay_(options.keepalive_delay),
      prng_(seed) {
  refresh_clock();
}

EpollEngine::~EpollEngine() {
  STILE_ASSERT(open_sockets_ == 0);
  STILE_ASSERT(open_pipes_ == 0);
  STILE_ASSERT(timers_.empty());
  STILE_ASSERT(queue_.empty());
}

// ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────────

void EpollEngine::run() {
  refresh_clock();
  do {
    turn();
  } while (!stopping_);
  stopping_ = false;
}

void EpollEngine::turn() {
  std::array<epoll_event, events_per_turn_max> events;
  const std::size_t count = await_events(events);
  for (const epoll_event& event : std::span(events).first(count)) on_event(event);
  expire_timers();
  if (keepalives_awaited_ > 0 && keepalive_sweep_ <= now_) sweep_keepalive();
  // A completion often queues the next step of the same work (a cancelled wait, a posted result): a few rounds spare it
  // a look at the kernel, and still bound the turn. The turn that was told to be the last has one.
  int rounds = 0;
  do {
    queue_.run();
  } while (!stopping_ && !queue_.empty() && ++rounds < rounds_per_turn_max);
}

std::size_t EpollEngine::await_events(std::span<epoll_event> events) {
  const int timeout = sleep_milliseconds();
  const Duration budget = spin_.budget();
  if (timeout != 0 && budget > Duration::zero()) {
    const std::size_t count = look(events, budget);
    return count > 0 ? count : poll(events, sleep_milliseconds());
  }
  const Instant before = now_;
  const std::size_t count = poll(events, timeout);
  if (timeout != 0) spin_.slept(now_ - before);
  return count;
}

std::size_t EpollEngine::poll(std::span<epoll_event> events, int timeout) {
  const auto room = static_cast<int>(events.size());
  int count = -1;
  if (precise_ && timeout > 0) count = poll_precisely(events);
  if (count < 0) {
    count = sys::retry([&] { return ::epoll_wait(epoll_.get(), events.data(), room, timeout); });
  }
  STILE_ASSERT(count >= 0);
  refresh_clock();
  return static_cast<std::size_t>(count);
}

std::size_t EpollEngine::look(std::span<epoll_event> events, Duration budget) {
  refresh_clock();
  const Instant end = now_ + budget;
  do {
    if (const std::size_t count = poll(events, 0); count > 0) {
      spin_.found();
      return count;
    }
  } while (now_ < end);
  spin_.missed(core_is_wanted());
  return 0;
}

// Whether other threads have taken this core from this one since the last time. Asked now and then: it is a system
// call, and a single switch means nothing.
bool EpollEngine::core_is_wanted() noexcept {
  if (++looks_ % looks_per_question != 0) return false;
  rusage usage{};
  if (::getrusage(RUSAGE_THREAD, &usage) == -1) return false;
  return usage.ru_nivcsw - std::exchange(core_wanted_, usage.ru_nivcsw) > switches_of_a_free_core;
}

std::optional<Duration> EpollEngine::time_to_sleep() const noexcept {
  if (stopping_ || !queue_.empty()) return Duration{};
  std::optional<Instant> next = timers_.next();
  if (keepalives_awaited_ > 0) next = std::min(next.value_or(keepalive_sweep_), keepalive_sweep_);
  if (!next) return std::nullopt;
  return std::max(*next - now_, Duration{});
}

/// Rounded up: to wake before the deadline would be to wake twice.
int EpollEngine::sleep_milliseconds() const noexcept {
  const std::optional<Duration> time = time_to_sleep();
  if (!time) return -1;
  return static_cast<int>(std::min<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(*time).count(), INT_MAX));
}

/// -1 where the kernel has no such call, or a filter forbids it.
int EpollEngine::poll_precisely(std::span<epoll_event> events) noexcept {
  const Duration time = time_to_sleep().value_or(Duration{});
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (time - seconds).count()};
  const auto room = static_cast<int>(events.size());
  const int count = sys::retry([&] { return ::epoll_pwait2(epoll_.get(), events.data(), room, &timeout, nullptr); });
  precise_ = count >= 0;
  return count;
}

void EpollEngine::sleep_precisely() noexcept {
  precise_ = true;
  // By default the kernel may let a thread sleep 50 us longer, to wake it with others.
  (void)::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void EpollEngine::on_event(const epoll_event& event) noexcept {
  if (event.data.u64 == wake_tag) {
    // Before the completion: what is woken for after this line wakes again.
    woken_.exchange(false, std::memory_order_acq_rel);
    if (on_wake_ != nullptr && !on_wake_->pending()) post(*on_wake_);
    return;
  }
  const Watch& watch = watches_[static_cast<std::uint32_t>(event.data.u64)];
  if (watch.socket == nullptr || watch.generation != event.data.u64 >> 32) return;
  Socket& socket = *watch.socket;
  const std::uint8_t flags = SocketState::flags(socket);
  if ((flags & epoll::adopted) != 0) {
    if (CompletionQueue::started(SocketState::operation(socket))) {
      queue_.complete(SocketState::operation(socket), Status::done);
    }
    return;
  }
  if ((flags & epoll::listening) != 0) return on_listener(socket);
  epoll::set(SocketState::ready(socket), ready_bits(event.events, (flags & epoll::stream) != 0));
  complete_if_ready(socket);
}

void EpollEngine::on_listener(Socket& socket) noexcept {
  if (CompletionQueue::started(SocketState::operation(socket))) {
    return queue_.complete(SocketState::operation(socket), Status::done);
  }
  // Nobody accepts for the moment: without this the loop would spin.
  epoll_event none{.events = 0, .data = {.u64 = watch(socket)}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.handle(), &none) == 0) {
    epoll::set(SocketState::flags(socket), epoll::muted);
  }
}

void EpollEngine::expire_timers() noexcept {
  while (Timer* const timer = timers_.take_due(now_)) queue_.complete(*timer, Status::done);
}

void EpollEngine::refresh_clock() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  now_ = Instant{std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec}};
}

WallTime EpollEngine::wall_now() const noexcept {
  return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
}

void EpollEngine::post(Operation& operation) noexcept {
  CompletionQueue::start(operation);
  queue_.complete(operation, Status::done);
}

void EpollEngine::wake() noexcept {
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  constexpr std::uint64_t one = 1;
  const ssize_t written = sys::retry([&] { return ::write(wake_.get(), &one, sizeof one); });
  STILE_ASSERT(written == sizeof one);
}

void EpollEngine::start_timer(Timer& timer, Instant deadline) noexcept {
  CompletionQueue::restart(timer);
  timers_.start(timer, deadline);
}

void EpollEngine::cancel(Timer& timer) noexcept {
  if (timers_.remove(timer)) queue_.complete(timer, Status::canceled);
}

void EpollEngine::cancel(Socket& socket) noexcept {
  Operation& operation = SocketState::operation(socket);
  if (CompletionQueue::started(operation)) queue_.complete(operation, Status::canceled);
  epoll::clear(SocketState::flags(socket), epoll::connecting);
}

// ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void EpollEngine::wait(Socket& socket, Interest interest) {
  STILE_ASSERT(socket.is_open());
  const std::uint8_t flags = SocketState::flags(socket);
  STILE_ASSERT((flags & epoll::connecting) == 0);
  SocketState::interest(socket) = interest;
  if (!socket.pending()) CompletionQueue::start(SocketState::operation(socket));
  if ((flags & epoll::adopted) != 0) {
    wait_adopted(socket);
    return;
  }
  if ((flags & epoll::listening) != 0) return wait_listening(socket);
  complete_if_ready(socket);
  if (!CompletionQueue::started(SocketState::operation(socket))) return;
  const bool registered = (flags & epoll::registered) != 0;
  const bool hears = (flags & (epoll::stream | epoll::told_of_room)) != 0 || !has(interest, Interest::writable);
  if (!registered || !hears) park(socket);
}

void EpollEngine::post(Socket& socket) noexcept {
  STILE_ASSERT(socket.is_open());
  Operation& operation = SocketState::operation(socket);
  if (!operation.pending()) CompletionQueue::start(operation);
  queue_.complete(operation, Status::done);
}

void EpollEngine::complete_if_ready(Socket& socket) noexcept {
  Operation& operation = SocketState::operation(socket);
  if (!CompletionQueue::started(operation)) return;
  const auto wanted =
      static_cast<std::uint8_t>(static_cast<std::uint8_t>(SocketState::interest(socket)) | epoll::error);
  if ((SocketState::ready(socket) & wanted) != 0 || SocketState::failure(socket) != 0) {
    queue_.complete(operation, Status::done);
  }
}

EpollEngine::Watch& EpollEngine::watch_of(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= watches_.size()) {
    // By a sixteenth: of twice as many a half would be empty.
    watches_.reserve(std::max(index + 1, watches_.size() + watches_.size() / 16 + watches_more_min));
    watches_.resize(watches_.capacity());
  }
  return watches_[index];
}

std::uint64_t EpollEngine::watch(Socket& socket) {
  Watch& watch = watch_of(socket.handle());
  watch.socket = &socket;
  epoll::set(SocketState::flags(socket), epoll::registered);
  return (static_cast<std::uint64_t>(watch.generation) << 32) | static_cast<std::uint32_t>(socket.handle());
}

// Whatever a datagram socket sends gives it room back at once, an edge each time: only who waits for room is to hear.
void EpollEngine::park(Socket& socket) noexcept {
  std::uint8_t& flags = SocketState::flags(socket);
  const int operation = (flags & epoll::registered) != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  std::uint32_t events = stream_events;
  if ((flags & epoll::stream) == 0) {
    if (has(SocketState::interest(socket), Interest::writable)) epoll::set(flags, epoll::told_of_room);
    if ((flags & epoll::told_of_room) == 0) events &= ~std::uint32_t{EPOLLOUT};
  }
  epoll_event event{.events = events, .data = {.u64 = watch(socket)}};
  if (::epoll_ctl(epoll_.get(), operation, socket.handle(), &event) == 0) return;
  // No memory or watches for it: a wait cannot fail, so the socket has.
  SocketState::note_failure(socket, sys::error_kind(errno));
  complete_if_ready(socket);
}

void EpollEngine::wait_listening(Socket& socket) noexcept {
  const std::uint8_t flags = SocketState::flags(socket);
  const bool known = (flags & epoll::registered) != 0;
  if (known && (flags & epoll::muted) == 0) return;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = watch(socket)}};
  epoll::clear(SocketState::flags(socket), epoll::muted);
  if (::epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket.handle(), &event) == 0) return;
  SocketState::note_failure(socket, sys::error_kind(errno));
  queue_.complete(SocketState::operation(socket), Status::done);  // the next accept tells the error
}

void EpollEngine::wait_adopted(Socket& socket) noexcept {
  const bool known = (SocketState::flags(socket) & epoll::registered) != 0;
  const Interest interest = SocketState::interest(socket);
  std::uint32_t events = EPOLLONESHOT;
  if (has(interest, Interest::readable)) events |= EPOLLIN;
  if (has(interest, Interest::writable)) events |= EPOLLOUT;
  epoll_event event{.events = events, .data = {.u64 = watch(socket)}};
  const int operation = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (::epoll_ctl(epoll_.get(), operation, socket.handle(), &event) == 0) return;
  queue_.complete(SocketState::operation(socket), Status::done);  // its owner's next call on it tells the error
}

void EpollEngine::take(Socket& socket, sys::UniqueFd fd, Role role) noexcept {
  STILE_ASSERT(!socket.is_open() && !socket.pending() && fd.is_open());
  opened(socket, fd.release(), role == Role::stream ? epoll::stream : epoll::listening);
}

// Out of epoll first: elsewhere it stays open, and would be told of here for ever.
sys::UniqueFd EpollEngine::give(Socket& socket) noexcept {
  STILE_ASSERT(socket.is_open() && !socket.pending());
  const std::uint8_t flags = SocketState::flags(socket);
  STILE_ASSERT((flags & (epoll::adopted | epoll::icmp)) == 0);
  sys::UniqueFd fd(socket.handle());
  if ((flags & epoll::registered) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  forget(socket);
  return fd;
}

Result<Endpoint> EpollEngine::translated_from(const Socket& accepted, Family family) noexcept {
  return sys::translated_from(accepted.handle(), family);
}

void EpollEngine::adopt(Socket& socket, int fd) noexcept {
  STILE_ASSERT(!socket.is_open() && !socket.pending() && fd >= 0);
  opened(socket, fd, epoll::adopted);
}

void EpollEngine::release(Socket& socket) noexcept {
  STILE_ASSERT((SocketState::flags(socket) & epoll::adopted) != 0);
  // Fails where the owner closed the descriptor before, which took it out of epoll as well.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.handle(), nullptr);
  give_up(socket);
}

// ── keepalive ───────────────────────────────────────────────────────────────────────────────────────────────────────

void EpollEngine::await_keepalive(Socket& socket) noexcept {
  if ((SocketState::flags(socket) & epoll::registered) == 0) {
    (void)sys::set_keepalive(socket.handle());  // connected at once, so that no watch was needed yet
    return;
  }
  if (keepalives_awaited_++ == 0) keepalive_sweep_ = now_ + keepalive_delay_;
  watches_[static_cast<std::size_t>(socket.handle())].keepalive = Keepalive::fresh;
}

void EpollEngine::settle_keepalive(Watch& watch) noexcept {
  if (watch.keepalive == Keepalive::settled) return;
  watch.keepalive = Keepalive::settled;
  --keepalives_awaited_;
}

// A walk over all descriptors, a few nanoseconds each, and none where no connection was dialled lately.
void EpollEngine::sweep_keepalive() noexcept {
  for (Watch& watch : watches_) {
    if (watch.keepalive == Keepalive::fresh) {
      watch.keepalive = Keepalive::due;
    } else if (watch.keepalive == Keepalive::due) {
      (void)sys::set_keepalive(watch.socket->handle());  // cannot fail on an open TCP socket
      settle_keepalive(watch);
    }
  }
  keepalive_sweep_ = now_ + keepalive_delay_;
}

// ── open and closed ─────────────────────────────────────────────────────────────────────────────────────────────────

void EpollEngine::opened(Socket& socket, int fd, std::uint8_t flags) noexcept {
  SocketState::clear(socket);
  SocketState::handle(socket) = fd;
  SocketState::flags(socket) = flags;
  ++open_sockets_;
}

void EpollEngine::give_up(Socket& socket) noexcept {
  cancel(socket);
  const int fd = socket.handle();
  const std::uint8_t flags = SocketState::flags(socket);
  forget(socket);
  const bool kept = (flags & epoll::adopted) != 0 || ((flags & epoll::icmp) != 0 && take_back_icmp(fd));
  if (!kept) ::close(fd);
}

void EpollEngine::forget(Socket& socket) noexcept {
  if ((SocketState::flags(socket) & epoll::registered) != 0) {
    Watch& watch = watches_[static_cast<std::size_t>(socket.handle())];
    watch.socket = nullptr;
    ++watch.generation;
    settle_keepalive(watch);
  }
  SocketState::clear(socket);
  --open_sockets_;
}

void EpollEngine::close(Socket& socket) noexcept {
  if (!socket.is_open()) return;
  STILE_ASSERT((SocketState::flags(socket) & epoll::adopted) == 0);
  give_up(socket);
}

void EpollEngine::move(Socket& from, Socket& to) noexcept {
  STILE_ASSERT(from.is_open() && !from.pending() && !to.is_open() && !to.pending());
  if ((SocketState::flags(from) & epoll::registered) != 0) {
    watches_[static_cast<std::size_t>(from.handle())].socket = &to;
  }
  SocketState::move(from, to);
}

bool EpollEngine::failed(const Socket& socket) const noexcept {
  return (SocketState::ready(socket) & epoll::error) != 0 || SocketState::failure(socket) != 0;
}

Error EpollEngine::stream_error(Socket& socket, int errno_value) noexcept {
  const Error error = sys::make_error(errno_value);
  if (SocketState::ends_stream(error.kind)) SocketState::note_failure(socket, error.kind);
  return error;
}

}  // namespace stile::engine
