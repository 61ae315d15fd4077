#include "auth/login_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"

namespace stile::auth {

bool LoginQueue::add(std::unique_ptr<LoginJob> job) {
  STILE_ASSERT(job->waiters.size() == 1);
  if (LoginJob* const equal = job->alone ? nullptr : equal_to(job->digest)) {
    equal->waiters.push_back(job->waiters.front());
    return true;
  }
  const std::size_t of_source = waiting_of(job->source);
  // A token takes a millisecond and is asked about with each connection; a password takes long, and once.
  const bool by_ticket = job->method == AuthMethod::gssapi;
  const std::size_t most = by_ticket ? limits::token_queue_per_source_max : limits::login_queue_per_source_max;
  if (waiting_.size() >= limits::login_queue_max || of_source >= most) return false;
  if (of_source == 0) turns_.push_back(job->source);
  waiting_.push_back(std::move(job));
  return true;
}

LoginJob* LoginQueue::take() {
  if (turns_.empty()) return nullptr;
  const LoginSource source = std::move(turns_.front());
  turns_.pop_front();
  const auto next =
      std::ranges::find(waiting_, source, [](const auto& job) -> const LoginSource& { return job->source; });
  STILE_ASSERT(next != waiting_.end());
  working_.push_back(std::move(*next));
  waiting_.erase(next);
  if (waiting_of(source) > 0) turns_.push_back(source);
  return working_.back().get();
}

std::unique_ptr<LoginJob> LoginQueue::finish(LoginJob* job) {
  const auto done = std::ranges::find(working_, job, &std::unique_ptr<LoginJob>::get);
  STILE_ASSERT(done != working_.end());
  std::unique_ptr<LoginJob> finished = std::move(*done);
  working_.erase(done);
  return finished;
}

std::vector<std::unique_ptr<LoginJob>> LoginQueue::expire(LoginJob::Clock::time_point now, Duration wait) {
  std::vector<std::unique_ptr<LoginJob>> expired;
  while (!waiting_.empty() && now - waiting_.front()->since > wait) {
    expired.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    leave_turns(expired.back()->source);
  }
  return expired;
}

std::vector<std::unique_ptr<LoginJob>> LoginQueue::drain() {
  std::vector<std::unique_ptr<LoginJob>> all;
  for (Jobs* const jobs : {&working_, &waiting_}) {
    std::ranges::move(*jobs, std::back_inserter(all));
    jobs->clear();
  }
  turns_.clear();
  return all;
}

void LoginQueue::abandon(const LoginWaiter& waiter) {
  for (Jobs* const jobs : {&waiting_, &working_}) {
    for (auto job = jobs->begin(); job != jobs->end(); ++job) {
      if (std::erase((*job)->waiters, waiter) == 0) continue;
      if (jobs == &working_ || !(*job)->waiters.empty()) return;
      const LoginSource source = (*job)->source;
      jobs->erase(job);
      return leave_turns(source);
    }
  }
}

LoginJob* LoginQueue::equal_to(const Digest& digest) noexcept {
  for (const Jobs* const jobs : {&waiting_, &working_}) {
    const auto found =
        std::ranges::find_if(*jobs, [&](const auto& job) { return !job->alone && job->digest == digest; });
    if (found != jobs->end()) return found->get();
  }
  return nullptr;
}

std::size_t LoginQueue::waiting_of(const LoginSource& source) const noexcept {
  return static_cast<std::size_t>(
      std::ranges::count(waiting_, source, [](const auto& job) -> const LoginSource& { return job->source; }));
}

// Where none of its jobs waits any longer.
void LoginQueue::leave_turns(const LoginSource& source) {
  if (waiting_of(source) == 0) std::erase(turns_, source);
}

}  // namespace stile::auth
