// Whether every worker's loop still turns: each round asks all of them, and a round that all have answered is a sign of
// life for the service manager, so that one worker that hangs is noticed as well as all of them. Refuses: to wait.
// Threading: `round` on one thread; `answer` and `end` from each worker's. Tested in heartbeat_test.cc.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace stile::server {

class Heartbeat {
 public:
  /// `ask` has a worker's thread run a task at its next turn.
  using Ask = std::function<void(std::size_t worker, std::function<void()> task)>;

  Heartbeat(std::size_t workers, Ask ask) : ask_(std::move(ask)), answered_(workers) {
    for (auto& one : answered_) one = std::make_shared<std::atomic<std::uint64_t>>(0);
  }

  /// True where everybody has answered since the round before; then they are asked anew. The first one only asks.
  [[nodiscard]] bool round() {
    for (const auto& one : answered_) {
      if (one->load() < round_) return false;
    }
    const bool alive = round_ > 0;
    ++round_;
    for (std::size_t i = 0; i < answered_.size(); ++i) {
      ask_(i, [answered = answered_[i], round = round_] {
        if (answered->load() < round) answered->store(round);
      });
    }
    return alive;
  }
  /// A worker that has ended is asked no more.
  void end(std::size_t worker) noexcept { answered_[worker]->store(UINT64_MAX); }

 private:
  Ask ask_;
  std::vector<std::shared_ptr<std::atomic<std::uint64_t>>> answered_;  // the round
  std::uint64_t round_ = 0;
};

}  // namespace stile::server
