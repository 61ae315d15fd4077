// A resolver's view of the private fields of Lookup, and the list of those that wait for one name. Only resolvers
// include this. One thread; tested through caching_resolver_test.cc.
#pragma once

#include <utility>

#include "resolve/resolver.h"

namespace stile::resolve {

class LookupState {
 public:
  /// Readies a lookup that is not pending for a question.
  static void reset(Lookup& lookup) noexcept {
    STILE_ASSERT(!lookup.pending());
    lookup.answer_ = {};
    lookup.canceled_ = false;
  }

  [[nodiscard]] static bool waiting(const Lookup& lookup) noexcept { return lookup.asked_; }

  /// Adds to the list that begins at `head`.
  static void link(Lookup*& head, Lookup& lookup) noexcept {
    lookup.asked_ = true;
    lookup.next_ = head;
    lookup.previous_next_ = &head;
    if (head != nullptr) head->previous_next_ = &lookup.next_;
    head = &lookup;
  }

  static void unlink(Lookup& lookup) noexcept {
    *lookup.previous_next_ = lookup.next_;
    if (lookup.next_ != nullptr) lookup.next_->previous_next_ = lookup.previous_next_;
    lookup.next_ = nullptr;
    lookup.previous_next_ = nullptr;
    lookup.asked_ = false;
  }

  /// Completes soon with `answer`.
  static void complete(engine::Engine& engine, Lookup& lookup, Answer answer) {
    lookup.answer_ = std::move(answer);
    engine.post(lookup.ready_);
  }

  /// Completes soon as cancelled, also where an answer was on its way.
  static void cancel(engine::Engine& engine, Lookup& lookup) noexcept {
    lookup.canceled_ = true;
    lookup.answer_ = {};
    if (!lookup.ready_.pending()) engine.post(lookup.ready_);
  }
};

}  // namespace stile::resolve
