// Opens long-lived tunnels, a few at a time, and says when the last of them stands or has failed.
// Threading: one engine's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "base/limits.h"
#include "engine/engine.h"

namespace stile::loadgen {

class Opening {
 public:
  Opening(engine::Engine& engine, engine::Operation& opened) noexcept : engine_(engine), opened_(opened) {}

  /// `open_one` opens the tunnel with that number; `one_done` is called for each of them, possibly within.
  void start(std::size_t count, std::function<void(std::size_t)> open_one) {
    count_ = count;
    open_one_ = std::move(open_one);
    go_on();
  }
  /// It stands or has failed.
  void one_done() {
    ++done_;
    if (done_ == count_) return engine_.post(opened_);
    go_on();
  }
  [[nodiscard]] bool complete() const noexcept { return done_ == count_; }

 private:
  /// The loop of the first call goes on for one that fails within it.
  void go_on() {
    if (going_) return;
    going_ = true;
    while (begun_ < count_ && begun_ - done_ < limits::bench_opening_at_once) open_one_(begun_++);
    going_ = false;
  }

  engine::Engine& engine_;
  engine::Operation& opened_;
  std::function<void(std::size_t)> open_one_;
  std::size_t count_ = 0;
  std::size_t begun_ = 0;
  std::size_t done_ = 0;
  bool going_ = false;
};

}  // namespace stile::loadgen
