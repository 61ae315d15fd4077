// Answers by question (a name asks for its addresses, an address for its name), each until its time is over, positive
// and negative alike. Bounded: the entry that was put first goes first. An ordered tree, so that names chosen to
// collide gain nothing. Pure: time comes in as an argument. Tested in answer_cache_test.cc.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>

#include "base/address.h"
#include "base/time.h"
#include "resolve/resolver.h"

namespace stile::resolve {

class AnswerCache {
 public:
  explicit AnswerCache(std::size_t answers_max) noexcept : answers_max_(answers_max) {}

  /// nullptr when nothing is known or its time is over. Valid until the next `put`.
  [[nodiscard]] const Answer* find(const Host& question, Instant now);
  /// Keeps `answer` for `ttl`, clamped to limits::dns_ttl_min and dns_ttl_max, instead of what was known.
  /// True where another answer made room for it.
  bool put(const Host& question, Answer answer, Duration ttl, Instant now);
  /// Forgets what `unwanted` holds for.
  void erase_if(const std::function<bool(const Host&)>& unwanted);
  [[nodiscard]] std::size_t size() const noexcept { return answers_.size(); }

 private:
  struct Entry;
  using Answers = std::map<Host, Entry>;
  using Ages = std::list<Answers::iterator>;
  struct Entry {
    Answer answer;
    Instant expiry;
    Ages::iterator age;
  };

  void erase(Answers::iterator entry);

  std::size_t answers_max_;
  Answers answers_;
  Ages ages_;  // the entry put longest ago in front
};

}  // namespace stile::resolve
