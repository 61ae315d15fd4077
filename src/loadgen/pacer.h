// Hands operations out to whoever is free: at once in closed loop, when the next one is due in open loop. One that
// failed is followed by a short pause, so that a proxy which refuses is not called ten thousand times a second.
// Threading: one engine's thread. Its schedule is tested in schedule_test.cc, the rest by tests/e2e/bench_test.py.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/engine.h"
#include "loadgen/schedule.h"

namespace stile::loadgen {

class Pacer {
 public:
  /// One operation at a time. Owned by the mode; outlives the pacer's use of it.
  class Slot {
   public:
    /// Begins an operation, whose latency counts from `due`. `done` or `failed` follows, `failed` possibly within.
    virtual void begin(Instant due) = 0;

   protected:
    Slot() noexcept = default;
    ~Slot() = default;

   private:
    friend class Pacer;
    Slot* next_ = nullptr;
  };

  /// `drained` completes once after `stop`, when no operation is under way.
  Pacer(engine::Engine& engine, std::optional<std::uint64_t> rate, engine::Operation& drained) noexcept;
  ~Pacer();
  Pacer(const Pacer&) = delete;
  Pacer& operator=(const Pacer&) = delete;

  /// A slot that has nothing to do yet: before `start`, or once it works again.
  void add(Slot& slot) noexcept { free_.push(slot); }
  void start();
  /// The slot's operation is over, at `now`; in closed loop the next one begins within.
  void done(Slot& slot, Instant now);
  void failed(Slot& slot);
  /// The slot's operation is over, and the slot is lost.
  void lost() noexcept;
  /// Begins no more.
  void stop();
  /// Gives up: nothing completes any more.
  void abandon() noexcept;

  [[nodiscard]] std::uint64_t under_way() const noexcept { return under_way_; }
  /// Open loop: operations that are due and not begun.
  [[nodiscard]] std::uint64_t behind(Instant now) const noexcept { return schedule_ ? schedule_->behind(now) : 0; }

 private:
  /// First in, first out: each tunnel has its turn.
  struct List {
    Slot* first = nullptr;
    Slot* last = nullptr;

    [[nodiscard]] bool empty() const noexcept { return first == nullptr; }
    void push(Slot& slot) noexcept;
    Slot& pop() noexcept;
  };

  void hand_out(Instant now);
  void on_due(engine::Status status);
  void on_retry(engine::Status status);
  void end_if_drained() noexcept;

  engine::Engine& engine_;
  std::optional<std::uint64_t> rate_;
  std::optional<Schedule> schedule_;
  engine::Operation& drained_;
  engine::Timer due_;
  engine::Timer retry_;
  List free_;
  List pausing_;
  std::uint64_t under_way_ = 0;
  bool running_ = false;
  bool stopped_ = false;
};

}  // namespace stile::loadgen
