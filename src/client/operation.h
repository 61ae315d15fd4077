// What a client was asked for, from its start to what came of it: a connection, a BIND, an association, a lookup, a
// ping. Each drives what route/ and probe.h have for it on the client's engine, within a time limit, and keeps what
// came of it until it is taken. Threading: one engine's thread. Tested in operations_test.cc and by libstile_test.py and
// libstile_commands_test.py.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "client/failure.h"
#include "engine/engine.h"

namespace stile::client {

class Operation;

class OperationOwner {
 public:
  virtual ~OperationOwner() = default;
  OperationOwner(const OperationOwner&) = delete;
  OperationOwner& operator=(const OperationOwner&) = delete;
  /// Once each, never within a call on the operation, which must not be destroyed before this has returned.
  virtual void operation_done(Operation& operation) noexcept = 0;

 protected:
  OperationOwner() noexcept = default;
};

class Operation {
 public:
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  /// Not before it is done, or where it was never started (asserted).
  virtual ~Operation();

  /// Once. Absent: it may take for ever.
  void start(std::optional<Duration> limit);
  /// It is done soon; what it had comes with STILE_ERROR_CANCELED. A no-op on one that is done.
  void cancel() noexcept;
  [[nodiscard]] bool done() const noexcept { return phase_ == Phase::done; }
  /// Of one that is done.
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

  [[nodiscard]] OperationOwner& owner() const noexcept { return owner_; }

  // The owner's.
  void* data = nullptr;
  bool abandoned = false;  // nobody asks what comes of it

 protected:
  Operation(engine::Engine& engine, OperationOwner& owner) noexcept;

  /// Starts what it drives; `settle` follows, never inline.
  virtual void begin() = 0;
  /// Cancels that; `settle` follows all the same, then or later.
  virtual void give_up() noexcept = 0;
  /// It is over, and nothing of it is pending.
  void settle(Failure failure) noexcept;

  engine::Engine& engine_;

 private:
  enum class Phase : std::uint8_t { made, running, settled, done };

  void on_limit(engine::Status status);
  void finish() noexcept;

  OperationOwner& owner_;
  engine::Timer limit_;
  std::optional<Duration> allowed_;
  Failure failure_;
  Phase phase_ = Phase::made;
  bool late_ = false;
};

}  // namespace stile::client
