#include "auth/hash_pool.h"

#include <utility>

#include "auth/password_hash.h"

namespace stile::auth {

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

bool HashPool::submit(std::unique_ptr<LoginJob> job) {
  job->since = LoginJob::Clock::now();
  {
    const std::scoped_lock lock(mutex_);
    if (!queue_.add(std::move(job))) return false;
  }
  changed_.notify_one();
  return true;
}

void HashPool::abandon(const LoginWaiter& waiter) {
  const std::scoped_lock lock(mutex_);
  queue_.abandon(waiter);
}

void HashPool::work() {
  const HashingThread marked;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    expire(lock);
    LoginJob* const job = queue_.take();
    if (job == nullptr) {
      changed_.wait(lock, [this] { return stopping_ || queue_.waiting() > 0; });
      continue;
    }
    // Others may join it meanwhile: password and hash stay as they are, its waiters are read under the lock.
    lock.unlock();
    const bool matches = verify_password(job->password, job->hash);
    hashes_.fetch_add(1, std::memory_order_relaxed);
    lock.lock();
    const std::unique_ptr<LoginJob> done = queue_.finish(job);
    lock.unlock();
    tell(*done, matches ? LoginOutcome::accepted : LoginOutcome::refused);
    lock.lock();
  }
}

void HashPool::expire(std::unique_lock<std::mutex>& lock) {
  const auto expired = queue_.expire(LoginJob::Clock::now(), wait_);
  if (expired.empty()) return;
  lock.unlock();
  for (const auto& job : expired) tell(*job, LoginOutcome::busy);
  lock.lock();
}

void HashPool::tell(const LoginJob& job, LoginOutcome outcome) {
  for (const LoginWaiter& waiter : job.waiters) waiter.inbox->put({waiter.ticket, outcome, {}});
}

}  // namespace stile::auth
