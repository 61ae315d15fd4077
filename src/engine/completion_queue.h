// The queue from which completions run, shared by both engines: it is what makes "exactly once, never inline" true.
// One thread. Tested by the conformance suite.
#pragma once

#include "engine/engine.h"

namespace stile::engine {

class CompletionQueue {
 public:
  /// Marks an idle operation as pending.
  static void start(Operation& operation) noexcept {
    STILE_ASSERT(operation.phase_ == Operation::Phase::idle && operation.handler_ != nullptr);
    operation.phase_ = Operation::Phase::started;
  }

  /// Starts an operation whatever its phase: one that is queued leaves the queue again without a completion.
  static void restart(Operation& operation) noexcept {
    STILE_ASSERT(operation.handler_ != nullptr);
    if (operation.phase_ == Operation::Phase::idle) operation.phase_ = Operation::Phase::started;
    if (operation.phase_ == Operation::Phase::queued) operation.phase_ = Operation::Phase::withdrawn;
  }

  [[nodiscard]] static bool started(const Operation& operation) noexcept {
    return operation.phase_ == Operation::Phase::started;
  }

  /// Queues a started operation; one that is queued already keeps its first status.
  void complete(Operation& operation, Status status) noexcept {
    STILE_ASSERT(operation.phase_ != Operation::Phase::idle);
    if (operation.phase_ == Operation::Phase::queued) return;
    const bool linked = operation.phase_ == Operation::Phase::withdrawn;
    operation.phase_ = Operation::Phase::queued;
    operation.status_ = status;
    if (linked) return;
    operation.next_ = nullptr;
    *tail_ = &operation;
    tail_ = &operation.next_;
  }

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

  /// Runs what is queued now; what a completion queues waits for the next call.
  void run() {
    Operation* operation = head_;
    head_ = nullptr;
    tail_ = &head_;
    while (operation != nullptr) {
      Operation* const next = operation->next_;
      operation->next_ = nullptr;
      if (operation->phase_ == Operation::Phase::withdrawn) {
        operation->phase_ = Operation::Phase::started;
      } else {
        operation->phase_ = Operation::Phase::idle;
        operation->handler_(operation->owner_, operation->status_);
      }
      operation = next;
    }
  }

 private:
  Operation* head_ = nullptr;
  Operation** tail_ = &head_;
};

}  // namespace stile::engine
