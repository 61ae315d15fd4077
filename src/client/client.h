// A client of libstile: an engine, a resolver, and the operations that are under way on them. It is driven by whoever
// calls: to the end of one operation, which waits, or as far as things go, which never does; one descriptor tells when
// that is worth while, timers included. Streams are handed out as ordinary descriptors: the socket itself where it is
// plain, else one end of a connection to the client's carrier (carrier.h). Threading: one thread at a time. Of a child
// that was forked it is not: `forked` tells. Tested by tests/e2e/libstile_test.py and libstile_commands_test.py.
#pragma once

#include <deque>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "base/time.h"
#include "client/carrier.h"
#include "client/datagrams.h"
#include "client/failure.h"
#include "client/operations.h"
#include "client/plan.h"
#include "engine/epoll/epoll_engine.h"
#include "resolve/caching_resolver.h"
#include "sys/alarm_clock.h"
#include "sys/unique_fd.h"

namespace stile::client {

class Client final : public OperationOwner {
 public:
  [[nodiscard]] static std::expected<std::unique_ptr<Client>, Failure> create(std::shared_ptr<const Plan> plan);
  /// Ends what is under way. Not in a child that was forked.
  ~Client() override;

  [[nodiscard]] const std::shared_ptr<const Plan>& plan() const noexcept { return plan_; }
  [[nodiscard]] bool forked() const noexcept;

  // ── operations ────────────────────────────────────────────────────────────────────────────────────────────────
  /// Made by `make(ground)`; the client's until `drop`.
  template <class Kind, class... Arguments>
  Kind& start(std::optional<Duration> limit, Arguments&&... arguments) {
    auto made = std::make_unique<Kind>(ground(), std::forward<Arguments>(arguments)...);
    Kind& operation = *made;
    begin(std::move(made), limit);
    return operation;
  }
  /// Frees it, where it is not done as soon as it is.
  void drop(Operation& operation) noexcept;
  /// Until it is done.
  void finish(Operation& operation);
  /// Never waits. How many are not done.
  std::size_t drive();
  /// Readable where `drive` has something to do.
  [[nodiscard]] int descriptor() const noexcept { return engine_->descriptor(); }
  /// One that is done and was not told of before; nullptr.
  [[nodiscard]] Operation* next_done() noexcept;

  // ── what came of them ─────────────────────────────────────────────────────────────────────────────────────────
  /// A blocking descriptor. `line` is open.
  [[nodiscard]] Result<sys::UniqueFd> hand_out(protect::Line& line);
  [[nodiscard]] std::expected<std::unique_ptr<Datagrams>, Failure> hand_out(AssociateOperation& operation);

  /// The client's until `drop`.
  Listening& keep(std::shared_ptr<Listening> listening);
  [[nodiscard]] std::shared_ptr<Listening> shared(const Listening& listening) const noexcept;
  /// An operation about it is cancelled.
  void drop(Listening& listening) noexcept;

 private:
  explicit Client(std::shared_ptr<const Plan> plan, sys::AlarmClock alarm) noexcept;
  [[nodiscard]] Result<void> open();

  [[nodiscard]] Ground ground() noexcept { return {*engine_, *resolver_, *this, *plan_}; }
  void begin(std::unique_ptr<Operation> operation, std::optional<Duration> limit);
  void operation_done(Operation& operation) noexcept override;
  void turn();
  void bury() noexcept;
  void set_alarm() noexcept;
  void on_alarm(engine::Status status);
  void on_resolver_closed(engine::Status) { engine_->stop(); }

  const std::shared_ptr<const Plan> plan_;
  const int process_;
  sys::AlarmClock alarm_;
  std::unique_ptr<engine::EpollEngine> engine_;
  std::unique_ptr<resolve::Backend> names_;
  std::optional<resolve::CachingResolver> resolver_;
  std::shared_ptr<Carrier> carrier_;  // from the first protected stream on
  engine::Socket alarm_watch_;
  engine::Operation resolver_closed_;
  std::optional<Instant> alarm_at_;
  std::vector<std::unique_ptr<Operation>> operations_;
  std::vector<std::shared_ptr<Listening>> listenings_;
  std::vector<std::shared_ptr<Listening>> leaving_;  // cancelled, and not quiet yet
  std::deque<Operation*> done_;                      // and not told yet
  Operation* awaited_ = nullptr;
  std::size_t running_ = 0;
};

}  // namespace stile::client
