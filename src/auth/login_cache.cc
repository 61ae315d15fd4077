#include "auth/login_cache.h"

#include <utility>

namespace stile::auth {

bool LoginCache::holds(const Digest& digest, Instant now) const {
  const std::scoped_lock lock(mutex_);
  const auto found = successes_.find(digest);
  return found != successes_.end() && now < found->second.ends;
}

std::shared_ptr<const Identity> LoginCache::who(const Digest& digest, Instant now) const {
  const std::scoped_lock lock(mutex_);
  const auto found = successes_.find(digest);
  return found != successes_.end() && now < found->second.ends ? found->second.who : nullptr;
}

void LoginCache::add(const Digest& digest, Instant now, Duration lifetime, std::shared_ptr<const Identity> who) {
  if (lifetime <= Duration::zero()) return;
  const std::scoped_lock lock(mutex_);
  while (!in_order_.empty() && (in_order_.front().ends <= now || in_order_.size() >= entries_max_)) {
    const Entry& oldest = in_order_.front();
    const auto found = successes_.find(oldest.digest);
    if (found != successes_.end() && found->second.ends == oldest.ends) successes_.erase(found);
    in_order_.pop_front();
  }
  successes_.insert_or_assign(digest, Success{now + lifetime, std::move(who)});
  in_order_.push_back({digest, now + lifetime});
}

void LoginCache::clear() {
  const std::scoped_lock lock(mutex_);
  successes_.clear();
  in_order_.clear();
}

std::size_t LoginCache::size() const {
  const std::scoped_lock lock(mutex_);
  return successes_.size();
}

}  // namespace stile::auth
