#include "client/operation.h"

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "base/assert.h"

namespace stile::client {

Operation::Operation(engine::Engine& engine, OperationOwner& owner) noexcept : engine_(engine), owner_(owner) {
  limit_.bind<&Operation::on_limit>(this);
}

Operation::~Operation() {
  STILE_ASSERT(phase_ == Phase::made || phase_ == Phase::done);
}

void Operation::start(std::optional<Duration> limit) {
  STILE_ASSERT(phase_ == Phase::made);
  phase_ = Phase::running;
  allowed_ = limit;
  if (limit) engine_.start_timer(limit_, engine_.now() + *limit);
  begin();
}

void Operation::cancel() noexcept {
  if (phase_ != Phase::running) return;
  give_up();
}

void Operation::on_limit(engine::Status status) {
  if (phase_ == Phase::settled) return finish();
  if (status != engine::Status::done || phase_ != Phase::running) return;
  late_ = true;
  give_up();
}

void Operation::settle(Failure failure) noexcept {
  STILE_ASSERT(phase_ == Phase::running);
  phase_ = Phase::settled;
  failure_ = std::move(failure);
  if (late_ && failure_.code == STILE_ERROR_CANCELED) {
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(allowed_.value_or(Duration{}));
    failure_ = timeout_failure("nothing came of it within " + std::to_string(milliseconds.count()) + " ms");
  }
  engine_.cancel(limit_);
  if (!limit_.pending()) finish();
}

void Operation::finish() noexcept {
  phase_ = Phase::done;
  owner_.operation_done(*this);
}

}  // namespace stile::client
