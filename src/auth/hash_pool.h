// The threads that verify passwords, so that no thread that serves connections ever does (security reference, 5.3).
// What waits is bounded and fair (hash_queue.h). Results go to the inbox of whoever asked, whose engine is woken.
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

#include "auth/hash_queue.h"
#include "engine/engine.h"

namespace stile::auth {

enum class HashOutcome : std::uint8_t { matches, differs, busy };

struct HashResult {
  std::uint64_t ticket = 0;
  HashOutcome outcome = HashOutcome::differs;
};

/// Where one worker finds what came of its jobs. Shared with the jobs, and closed by the worker before its engine goes.
class HashInbox {
 public:
  explicit HashInbox(engine::Engine& engine) noexcept : engine_(&engine) {}
  HashInbox(const HashInbox&) = delete;
  HashInbox& operator=(const HashInbox&) = delete;

  void put(const HashResult& result);
  [[nodiscard]] std::vector<HashResult> take();
  void close() noexcept;

 private:
  std::mutex mutex_;
  engine::Engine* engine_;  // nullptr: closed
  std::vector<HashResult> results_;
};

class HashPool {
 public:
  /// Half of the cores, one at least.
  [[nodiscard]] static unsigned threads_for(unsigned cores) noexcept { return cores < 4 ? 1 : cores / 2; }

  explicit HashPool(unsigned threads, Duration wait = limits::hash_wait);
  ~HashPool();
  HashPool(const HashPool&) = delete;
  HashPool& operator=(const HashPool&) = delete;

  /// False: there is no room, and no result will come.
  [[nodiscard]] bool submit(std::unique_ptr<HashJob> job);
  void abandon(const HashWaiter& waiter);
  /// Passwords verified so far.
  [[nodiscard]] std::uint64_t hashes() const noexcept { return hashes_.load(std::memory_order_relaxed); }

 private:
  void work();
  void expire(std::unique_lock<std::mutex>& lock);
  static void tell(const HashJob& job, HashOutcome outcome);

  Duration wait_;
  std::mutex mutex_;
  std::condition_variable changed_;
  HashQueue queue_;        // under mutex_
  bool stopping_ = false;  // under mutex_
  std::atomic<std::uint64_t> hashes_{0};
  std::vector<std::thread> threads_;
};

}  // namespace stile::auth
