#include "auth/hash_pool.h"

#include <utility>

#include "auth/password_hash.h"

namespace stile::auth {

// ── the inbox ───────────────────────────────────────────────────────────────────────────────────────────────────────

void HashInbox::put(const HashResult& result) {
  const std::scoped_lock lock(mutex_);
  if (engine_ == nullptr) return;
  results_.push_back(result);
  engine_->wake();
}

std::vector<HashResult> HashInbox::take() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(results_, {});
}

void HashInbox::close() noexcept {
  const std::scoped_lock lock(mutex_);
  engine_ = nullptr;
}

// ── the pool ────────────────────────────────────────────────────────────────────────────────────────────────────────

HashPool::HashPool(unsigned threads, Duration wait) : wait_(wait) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

HashPool::~HashPool() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool HashPool::submit(std::unique_ptr<HashJob> job) {
  job->since = HashJob::Clock::now();
  {
    const std::scoped_lock lock(mutex_);
    if (!queue_.add(std::move(job))) return false;
  }
  changed_.notify_one();
  return true;
}

void HashPool::abandon(const HashWaiter& waiter) {
  const std::scoped_lock lock(mutex_);
  queue_.abandon(waiter);
}

void HashPool::work() {
  const HashingThread marked;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    expire(lock);
    HashJob* const job = queue_.take();
    if (job == nullptr) {
      changed_.wait(lock, [this] { return stopping_ || queue_.waiting() > 0; });
      continue;
    }
    // Others may join it meanwhile: password and hash stay as they are, its waiters are read under the lock.
    lock.unlock();
    const bool matches = verify_password(job->password, job->hash);
    hashes_.fetch_add(1, std::memory_order_relaxed);
    lock.lock();
    const std::unique_ptr<HashJob> done = queue_.finish(job);
    lock.unlock();
    tell(*done, matches ? HashOutcome::matches : HashOutcome::differs);
    lock.lock();
  }
}

void HashPool::expire(std::unique_lock<std::mutex>& lock) {
  const auto expired = queue_.expire(HashJob::Clock::now(), wait_);
  if (expired.empty()) return;
  lock.unlock();
  for (const auto& job : expired) tell(*job, HashOutcome::busy);
  lock.lock();
}

void HashPool::tell(const HashJob& job, HashOutcome outcome) {
  for (const HashWaiter& waiter : job.waiters) waiter.inbox->put({waiter.ticket, outcome});
}

}  // namespace stile::auth
