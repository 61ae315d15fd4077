#include "client/carrier.h"

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "protect/line.h"
#include "sys/errno_table.h"
#include "sys/handed_socket.h"
#include "sys/process.h"

namespace stile::client {
namespace {

// People leave a stream open for as long as they like.
constexpr relay::RelayLimits no_time_limits{.idle = Duration::zero(), .half_closed = Duration::zero()};

class OneCarrier final : public Carrier, public relay::TunnelOwner, public std::enable_shared_from_this<OneCarrier> {
 public:
  OneCarrier() { woken_.bind<&OneCarrier::on_woken>(this); }

  Result<sys::UniqueFd> carry(sys::UniqueFd network, std::unique_ptr<protect::Transform> transform) override;
  /// Ends every stream, and waits for the thread.
  void stop();

 private:
  struct Stream {
    sys::UniqueFd near;
    sys::UniqueFd network;
    std::unique_ptr<protect::Transform> transform;
  };

  [[nodiscard]] Result<void> start_thread();
  void work();
  [[nodiscard]] bool leave();
  void on_woken(engine::Status);
  void tunnel_ended(const relay::TunnelEnd&) noexcept override { engine_->stop(); }
  // Nothing is looked at.
  void request_seen(void*, const wire::HttpSighting&) noexcept override {}
  void hello_seen(void*, const wire::TlsClientHello&) noexcept override {}

  std::mutex mutex_;  // of what stands behind it
  std::vector<Stream> waiting_;
  std::unique_ptr<engine::EpollEngine> engine_;  // made and ended under the lock, else the thread's
  std::condition_variable over_;
  bool stopping_ = false;

  // The thread's.
  std::unique_ptr<relay::Relay> relay_;
  engine::Operation woken_;
};

/// Those of this process, so that they are stopped when it ends: OpenSSL takes itself down then. Never destroyed: other
/// threads may be about still. A child that was forked has none of its parent's threads, nor may it look at their lock.
struct Register {
  const int process = sys::own_process_id();
  std::mutex mutex;
  std::vector<std::weak_ptr<OneCarrier>> carriers;
};
std::atomic<Register*> current_register = nullptr;

void stop_all() {
  Register* const all = current_register.load();
  if (all == nullptr || all->process != sys::own_process_id()) return;
  std::vector<std::weak_ptr<OneCarrier>> carriers;
  {
    const std::scoped_lock lock(all->mutex);
    carriers.swap(all->carriers);
  }
  for (const auto& one : carriers) {
    if (const auto carrier = one.lock()) carrier->stop();
  }
}

void enter(const std::shared_ptr<OneCarrier>& carrier) {
  static std::mutex making;
  static bool promised = false;
  Register* all = current_register.load();
  if (all == nullptr || all->process != sys::own_process_id()) {
    const std::scoped_lock lock(making);
    all = current_register.load();
    if (all == nullptr || all->process != sys::own_process_id()) {
      all = new Register;
      current_register.store(all);
    }
    if (!std::exchange(promised, true)) STILE_ASSERT(std::atexit(stop_all) == 0);
  }
  const std::scoped_lock lock(all->mutex);
  std::erase_if(all->carriers, [](const auto& one) { return one.expired(); });
  all->carriers.push_back(carrier);
}

/// Signals are for the program's own threads.
class SignalsElsewhere {
 public:
  SignalsElsewhere() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsElsewhere(const SignalsElsewhere&) = delete;
  SignalsElsewhere& operator=(const SignalsElsewhere&) = delete;
  ~SignalsElsewhere() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// ── the caller's side ───────────────────────────────────────────────────────────────────────────────────────────────

Result<sys::UniqueFd> OneCarrier::carry(sys::UniqueFd network, std::unique_ptr<protect::Transform> transform) {
  auto pair = sys::loopback_pair();
  if (!pair) return std::unexpected(pair.error());
  if (auto set = sys::set_blocking(pair->one.get(), true); !set) return std::unexpected(set.error());
  const std::scoped_lock lock(mutex_);
  if (stopping_) return std::unexpected(Error{.kind = ErrorKind::canceled, .os_code = ECANCELED});
  if (engine_ == nullptr) {
    if (auto started = start_thread(); !started) return std::unexpected(started.error());
  }
  waiting_.push_back({std::move(pair->other), std::move(network), std::move(transform)});
  engine_->wake();
  return std::move(pair->one);
}

Result<void> OneCarrier::start_thread() {
  auto engine = engine::EpollEngine::create({.ignore_broken_pipes = false});
  if (!engine) return std::unexpected(engine.error());
  engine_ = *std::move(engine);
  engine_->on_wake(&woken_);
  relay_ = std::make_unique<relay::Relay>(*engine_, *this, no_time_limits);
  try {
    const SignalsElsewhere elsewhere;
    std::thread([self = shared_from_this()] { self->work(); }).detach();
  } catch (const std::system_error& error) {
    relay_.reset();
    engine_->on_wake(nullptr);
    engine_.reset();
    return std::unexpected(sys::make_error(error.code().value()));
  }
  return {};
}

void OneCarrier::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  if (engine_ == nullptr) return;
  engine_->wake();
  over_.wait(lock, [this] { return engine_ == nullptr; });
}

// ── the thread's side ───────────────────────────────────────────────────────────────────────────────────────────────

void OneCarrier::work() {
  do {
    engine_->run();
  } while (!leave());
}

/// Where there is nothing left to carry.
bool OneCarrier::leave() {
  if (relay_->tunnels() > 0) return false;
  while (!relay_->quiet()) {  // what it cancelled completes within a turn
    engine_->stop();
    engine_->run();
  }
  const std::scoped_lock lock(mutex_);
  if (!waiting_.empty() && !stopping_) return false;
  waiting_.clear();
  relay_.reset();
  engine_->on_wake(nullptr);
  engine_.reset();
  over_.notify_all();
  return true;
}

void OneCarrier::on_woken(engine::Status) {
  std::vector<Stream> streams;
  bool stopping = false;
  {
    const std::scoped_lock lock(mutex_);
    streams.swap(waiting_);
    stopping = stopping_;
  }
  for (Stream& stream : streams) {
    protect::Line near;
    protect::Line far;
    engine_->take(near.socket(), std::move(stream.near), engine::EpollEngine::Role::stream);
    engine_->take(far.socket(), std::move(stream.network), engine::EpollEngine::Role::stream);
    far.protect(std::move(stream.transform));
    relay_->start(near, far, {}, nullptr);
  }
  if (!stopping) return;
  relay_->end_all(Reason::reset_client);
  engine_->stop();
}

}  // namespace

std::shared_ptr<Carrier> Carrier::create() {
  auto carrier = std::make_shared<OneCarrier>();
  enter(carrier);
  return carrier;
}

}  // namespace stile::client
