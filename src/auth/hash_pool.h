// The threads that verify passwords, so that no thread that serves connections ever does (security reference, 5.3).
// What waits is bounded and fair (login_queue.h). Results go to the inbox of whoever asked, whose engine is woken.
// Threading: everything from any thread; the destructor waits for the hash in hand. Tested in hash_pool_test.cc.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "auth/login_inbox.h"
#include "auth/login_queue.h"

namespace stile::auth {

class HashPool {
 public:
  /// Half of the cores, one at least.
  [[nodiscard]] static unsigned threads_for(unsigned cores) noexcept { return cores < 4 ? 1 : cores / 2; }

  explicit HashPool(unsigned threads, Duration wait = limits::hash_wait);
  ~HashPool();
  HashPool(const HashPool&) = delete;
  HashPool& operator=(const HashPool&) = delete;

  /// False: there is no room, and no result will come.
  [[nodiscard]] bool submit(std::unique_ptr<LoginJob> job);
  void abandon(const LoginWaiter& waiter);
  /// Passwords verified so far.
  [[nodiscard]] std::uint64_t hashes() const noexcept { return hashes_.load(std::memory_order_relaxed); }

 private:
  void work();
  void expire(std::unique_lock<std::mutex>& lock);
  static void tell(const LoginJob& job, LoginOutcome outcome);

  Duration wait_;
  std::mutex mutex_;
  std::condition_variable changed_;
  LoginQueue queue_;       // under mutex_
  bool stopping_ = false;  // under mutex_
  std::atomic<std::uint64_t> hashes_{0};
  std::vector<std::thread> threads_;
};

}  // namespace stile::auth
