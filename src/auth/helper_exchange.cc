#include "auth/helper_exchange.h"

#include <algorithm>
#include <utility>

namespace stile::auth {

std::optional<HelperExchange::Request> HelperExchange::next() {
  if (sent_.size() >= limits::helper_requests_max) return std::nullopt;
  LoginJob* const job = queue_.take();
  if (job == nullptr) return std::nullopt;
  const std::uint64_t id = next_id_++;
  sent_.emplace(id, job);
  return Request{.id = id, .job = job};
}

std::unique_ptr<LoginJob> HelperExchange::settle(std::uint64_t id) {
  const auto found = sent_.find(id);
  if (found == sent_.end()) return nullptr;
  auto job = queue_.finish(found->second);
  sent_.erase(found);
  return job;
}

HelperExchange::Jobs HelperExchange::expire(Time now) {
  Jobs expired = queue_.expire(now, wait_);
  for (auto one = sent_.begin(); one != sent_.end();) {
    if (now - one->second->since <= wait_) {
      ++one;
      continue;
    }
    expired.push_back(queue_.finish(one->second));
    one = sent_.erase(one);
  }
  return expired;
}

HelperExchange::Jobs HelperExchange::drain() {
  sent_.clear();
  return queue_.drain();
}

std::optional<HelperExchange::Time> HelperExchange::due() const {
  std::optional<Time> first = queue_.oldest();
  for (const auto& [id, job] : sent_) first = std::min(first.value_or(job->since), job->since);
  if (first) *first += wait_;
  return first;
}

}  // namespace stile::auth
