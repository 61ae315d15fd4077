// Passwords that wait to be verified: bounded, fair by source, each password once. Sources take turns, so that who asks
// a thousand times a second delays everybody else by one hash at a time; each may have hash_queue_per_source_max
// waiting. Equal ones (same user, password and record), waiting or at work, are one job with several waiters.
// Threading: a plain object under its pool's lock. Tested in hash_queue_test.cc.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "auth/digest.h"
#include "base/address.h"
#include "base/limits.h"
#include "base/secret.h"
#include "base/time.h"

namespace stile::auth {

class HashInbox;  // hash_pool.h

/// Who is told what came of a job.
struct HashWaiter {
  std::shared_ptr<HashInbox> inbox;
  std::uint64_t ticket = 0;

  friend bool operator==(const HashWaiter&, const HashWaiter&) = default;
};

/// Whose turn a job takes: an address, or, where all users share one, each of them.
struct HashSource {
  Address address;
  std::string user;

  friend bool operator==(const HashSource&, const HashSource&) = default;
};

struct HashJob {
  using Clock = std::chrono::steady_clock;

  Digest digest{};
  HashSource source;
  Secret password;
  std::string hash;
  Clock::time_point since;
  std::vector<HashWaiter> waiters;
};

class HashQueue {
 public:
  /// The job's one waiter joins an equal job where there is one. False: there is no room.
  [[nodiscard]] bool add(std::unique_ptr<HashJob> job);
  /// The next one in turn, which stays known as being at work until `finish`; nullptr where none waits.
  [[nodiscard]] HashJob* take();
  /// What `take` gave.
  [[nodiscard]] std::unique_ptr<HashJob> finish(HashJob* job);
  /// Those that have waited for longer than `wait`, which are done with.
  [[nodiscard]] std::vector<std::unique_ptr<HashJob>> expire(HashJob::Clock::time_point now, Duration wait);
  /// Nobody else wants it: it is not verified.
  void abandon(const HashWaiter& waiter);
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

 private:
  using Jobs = std::deque<std::unique_ptr<HashJob>>;

  [[nodiscard]] HashJob* equal_to(const Digest& digest) noexcept;
  [[nodiscard]] std::size_t waiting_of(const HashSource& source) const noexcept;
  void leave_turns(const HashSource& source);

  Jobs waiting_;  // oldest first
  Jobs working_;
  std::deque<HashSource> turns_;  // sources of those that wait, each once, the next first
};

}  // namespace stile::auth
