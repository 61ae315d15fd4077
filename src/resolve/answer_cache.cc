#include "resolve/answer_cache.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace stile::resolve {

const Answer* AnswerCache::find(const HostName& name, Instant now) {
  const auto entry = names_.find(name);
  if (entry == names_.end()) return nullptr;
  if (entry->second.expiry > now) return &entry->second.answer;
  erase(entry);
  return nullptr;
}

void AnswerCache::put(const HostName& name, Answer answer, Duration ttl, Instant now) {
  if (names_max_ == 0) return;
  if (const auto known = names_.find(name); known != names_.end()) erase(known);
  if (names_.size() >= names_max_) erase(ages_.front());
  const Duration kept = std::clamp<Duration>(ttl, limits::dns_ttl_min, limits::dns_ttl_max);
  const auto entry = names_.emplace(name, Entry{std::move(answer), now + kept, {}}).first;
  entry->second.age = ages_.insert(ages_.end(), entry);
}

void AnswerCache::erase(Names::iterator entry) {
  ages_.erase(entry->second.age);
  names_.erase(entry);
}

}  // namespace stile::resolve
