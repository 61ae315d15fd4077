#include "auth/login_cache.h"

namespace stile::auth {

bool LoginCache::holds(const Digest& digest, Instant now) const {
  const std::scoped_lock lock(mutex_);
  const auto found = ends_.find(digest);
  return found != ends_.end() && now < found->second;
}

void LoginCache::add(const Digest& digest, Instant now, Duration lifetime) {
  if (lifetime <= Duration::zero()) return;
  const std::scoped_lock lock(mutex_);
  while (!in_order_.empty() && (in_order_.front().ends <= now || in_order_.size() >= entries_max_)) {
    const Entry& oldest = in_order_.front();
    const auto found = ends_.find(oldest.digest);
    if (found != ends_.end() && found->second == oldest.ends) ends_.erase(found);
    in_order_.pop_front();
  }
  ends_.insert_or_assign(digest, now + lifetime);
  in_order_.push_back({digest, now + lifetime});
}

void LoginCache::clear() {
  const std::scoped_lock lock(mutex_);
  ends_.clear();
  in_order_.clear();
}

std::size_t LoginCache::size() const {
  const std::scoped_lock lock(mutex_);
  return ends_.size();
}

}  // namespace stile::auth
