#include "loadgen/pacer.h"

#include "base/limits.h"
#include "loadgen/course.h"

namespace stile::loadgen {

Pacer::Pacer(engine::Engine& engine, std::optional<std::uint64_t> rate, engine::Operation& drained) noexcept
    : engine_(engine), rate_(rate), drained_(drained) {
  due_.bind<&Pacer::on_due>(this);
  retry_.bind<&Pacer::on_retry>(this);
}

Pacer::~Pacer() {
  STILE_ASSERT(!due_.pending() && !retry_.pending());
}

void Pacer::List::push(Slot& slot) noexcept {
  slot.next_ = nullptr;
  (empty() ? first : last->next_) = &slot;
  last = &slot;
}

Pacer::Slot& Pacer::List::pop() noexcept {
  Slot& slot = *first;
  first = slot.next_;
  return slot;
}

void Pacer::start() {
  running_ = true;
  const Instant now = precise_now();
  if (rate_) schedule_.emplace(now, *rate_);
  hand_out(now);
}

void Pacer::hand_out(Instant now) {
  if (!running_) return;
  while (!free_.empty()) {
    const std::optional<Instant> due = schedule_ ? schedule_->take(now) : now;
    if (!due) return engine_.start_timer(due_, schedule_->next());
    ++under_way_;
    free_.pop().begin(*due);
  }
}

void Pacer::done(Slot& slot, Instant now) {
  --under_way_;
  free_.push(slot);
  if (running_) return hand_out(now);
  end_if_drained();
}

void Pacer::failed(Slot& slot) {
  --under_way_;
  pausing_.push(slot);
  if (running_ && !retry_.pending()) engine_.start_timer(retry_, engine_.now() + limits::bench_retry);
  end_if_drained();
}

void Pacer::lost() noexcept {
  --under_way_;
  end_if_drained();
}

void Pacer::stop() {
  running_ = false;
  stopped_ = true;
  engine_.cancel(due_);
  engine_.cancel(retry_);
  end_if_drained();
}

void Pacer::abandon() noexcept {
  running_ = false;
  stopped_ = false;
  engine_.cancel(due_);
  engine_.cancel(retry_);
}

void Pacer::on_due(engine::Status status) {
  if (status == engine::Status::done) hand_out(precise_now());
}

void Pacer::on_retry(engine::Status status) {
  if (status != engine::Status::done) return;
  while (!pausing_.empty()) free_.push(pausing_.pop());
  hand_out(precise_now());
}

void Pacer::end_if_drained() noexcept {
  if (!stopped_ || under_way_ != 0) return;
  stopped_ = false;
  engine_.post(drained_);
}

}  // namespace stile::loadgen
