#include "resolve/answer_cache.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace stile::resolve {

const Answer* AnswerCache::find(const Host& question, Instant now) {
  const auto entry = answers_.find(question);
  if (entry == answers_.end()) return nullptr;
  if (entry->second.expiry > now) return &entry->second.answer;
  erase(entry);
  return nullptr;
}

bool AnswerCache::put(const Host& question, Answer answer, Duration ttl, Instant now) {
  if (answers_max_ == 0) return false;
  if (const auto known = answers_.find(question); known != answers_.end()) erase(known);
  const bool full = answers_.size() >= answers_max_;
  if (full) erase(ages_.front());
  const Duration kept = std::clamp<Duration>(ttl, limits::dns_ttl_min, limits::dns_ttl_max);
  const auto entry = answers_.emplace(question, Entry{std::move(answer), now + kept, {}}).first;
  entry->second.age = ages_.insert(ages_.end(), entry);
  return full;
}

void AnswerCache::erase_if(const std::function<bool(const Host&)>& unwanted) {
  for (auto entry = answers_.begin(); entry != answers_.end();) {
    const auto next = std::next(entry);
    if (unwanted(entry->first)) erase(entry);
    entry = next;
  }
}

void AnswerCache::erase(Answers::iterator entry) {
  ages_.erase(entry->second.age);
  answers_.erase(entry);
}

}  // namespace stile::resolve
