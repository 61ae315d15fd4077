// Answers by name, each until its time is over, positive and negative alike. Bounded: the entry that was put first goes
// first. An ordered tree, so that names chosen to collide gain nothing.
// Pure: time comes in as an argument. Tested in answer_cache_test.cc.
#pragma once

#include <cstddef>
#include <list>
#include <map>

#include "base/address.h"
#include "base/time.h"
#include "resolve/resolver.h"

namespace stile::resolve {

class AnswerCache {
 public:
  explicit AnswerCache(std::size_t names_max) noexcept : names_max_(names_max) {}

  /// nullptr when nothing is known or its time is over. Valid until the next `put`.
  [[nodiscard]] const Answer* find(const HostName& name, Instant now);
  /// Keeps `answer` for `ttl`, clamped to limits::dns_ttl_min and dns_ttl_max, instead of what was known.
  void put(const HostName& name, Answer answer, Duration ttl, Instant now);
  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }

 private:
  struct Entry;
  using Names = std::map<HostName, Entry>;
  using Ages = std::list<Names::iterator>;
  struct Entry {
    Answer answer;
    Instant expiry;
    Ages::iterator age;
  };

  void erase(Names::iterator entry);

  std::size_t names_max_;
  Names names_;
  Ages ages_;  // the entry put longest ago in front
};

}  // namespace stile::resolve
