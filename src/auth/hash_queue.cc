#include "auth/hash_queue.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace stile::auth {

bool HashQueue::add(std::unique_ptr<HashJob> job) {
  STILE_ASSERT(job->waiters.size() == 1);
  if (HashJob* const equal = equal_to(job->digest)) {
    equal->waiters.push_back(job->waiters.front());
    return true;
  }
  const std::size_t of_source = waiting_of(job->source);
  if (waiting_.size() >= limits::hash_queue_max || of_source >= limits::hash_queue_per_source_max) return false;
  if (of_source == 0) turns_.push_back(job->source);
  waiting_.push_back(std::move(job));
  return true;
}

HashJob* HashQueue::take() {
  if (turns_.empty()) return nullptr;
  const HashSource source = std::move(turns_.front());
  turns_.pop_front();
  const auto next =
      std::ranges::find(waiting_, source, [](const auto& job) -> const HashSource& { return job->source; });
  STILE_ASSERT(next != waiting_.end());
  working_.push_back(std::move(*next));
  waiting_.erase(next);
  if (waiting_of(source) > 0) turns_.push_back(source);
  return working_.back().get();
}

std::unique_ptr<HashJob> HashQueue::finish(HashJob* job) {
  const auto done = std::ranges::find(working_, job, &std::unique_ptr<HashJob>::get);
  STILE_ASSERT(done != working_.end());
  std::unique_ptr<HashJob> finished = std::move(*done);
  working_.erase(done);
  return finished;
}

std::vector<std::unique_ptr<HashJob>> HashQueue::expire(HashJob::Clock::time_point now, Duration wait) {
  std::vector<std::unique_ptr<HashJob>> expired;
  while (!waiting_.empty() && now - waiting_.front()->since > wait) {
    expired.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    leave_turns(expired.back()->source);
  }
  return expired;
}

void HashQueue::abandon(const HashWaiter& waiter) {
  for (Jobs* const jobs : {&waiting_, &working_}) {
    for (auto job = jobs->begin(); job != jobs->end(); ++job) {
      if (std::erase((*job)->waiters, waiter) == 0) continue;
      if (jobs == &working_ || !(*job)->waiters.empty()) return;
      const HashSource source = (*job)->source;
      jobs->erase(job);
      return leave_turns(source);
    }
  }
}

HashJob* HashQueue::equal_to(const Digest& digest) noexcept {
  for (const Jobs* const jobs : {&waiting_, &working_}) {
    const auto found = std::ranges::find(*jobs, digest, [](const auto& job) -> const Digest& { return job->digest; });
    if (found != jobs->end()) return found->get();
  }
  return nullptr;
}

std::size_t HashQueue::waiting_of(const HashSource& source) const noexcept {
  return static_cast<std::size_t>(
      std::ranges::count(waiting_, source, [](const auto& job) -> const HashSource& { return job->source; }));
}

// Where none of its jobs waits any longer.
void HashQueue::leave_turns(const HashSource& source) {
  if (waiting_of(source) == 0) std::erase(turns_, source);
}

}  // namespace stile::auth
