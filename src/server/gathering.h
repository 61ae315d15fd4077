// What several workers are asked at once, and what those say that answer in time. Shared by who asks and whom it asks,
// since a worker may outlast the wait. Threading: any. Tested in gathering_test.cc.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "base/time.h"

namespace stile::server {

template <class Answer>
class Gathering {
 public:
  void add(Answer answer) {
    const std::scoped_lock lock(mutex_);
    answers_.push_back(std::move(answer));
    added_.notify_one();
  }
  /// Until there are `wanted` answers, or for `longest`. Called once; what comes later is lost.
  [[nodiscard]] std::vector<Answer> wait(std::size_t wanted, Duration longest) {
    std::unique_lock lock(mutex_);
    added_.wait_for(lock, longest, [&] { return answers_.size() >= wanted; });
    return std::exchange(answers_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::vector<Answer> answers_;  // under mutex_
};

}  // namespace stile::server
