// Logins that succeeded a moment ago, so that a browser's hundred connections cost one hash. Only successes are kept,
// and no password: a digest each (digest.h), which another password or another record does not have, and who it was
// where no record says so. Bounded; the oldest makes room. Threading: any thread. Tested in login_cache_test.cc.
#pragma once

#include <cstddef>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "auth/digest.h"
#include "base/identity.h"
#include "base/limits.h"
#include "base/time.h"

namespace stile::auth {

class LoginCache {
 public:
  explicit LoginCache(std::size_t entries_max = limits::login_cache_entries_max) noexcept : entries_max_(entries_max) {}

  [[nodiscard]] bool holds(const Digest& digest, Instant now) const;
  /// For `lifetime` from now on, which is the same for all; zero: not at all.
  void add(const Digest& digest, Instant now, Duration lifetime, std::shared_ptr<const Identity> who = nullptr);
  /// Who it was; absent where nothing is remembered, or nobody was named.
  [[nodiscard]] std::shared_ptr<const Identity> who(const Digest& digest, Instant now) const;
  void clear();
  [[nodiscard]] std::size_t size() const;

 private:
  // What a secret key makes cannot be chosen to collide (threat TF3).
  struct FirstOctets {
    std::size_t operator()(const Digest& digest) const noexcept {
      std::size_t value = 0;
      std::memcpy(&value, digest.data(), sizeof value);
      return value;
    }
  };
  struct Success {
    Instant ends;
    std::shared_ptr<const Identity> who;
  };
  struct Entry {
    Digest digest;
    Instant ends;
  };

  std::size_t entries_max_;
  mutable std::mutex mutex_;
  std::unordered_map<Digest, Success, FirstOctets> successes_;
  std::deque<Entry> in_order_;  // those that were added again stand there more than once
};

}  // namespace stile::auth
