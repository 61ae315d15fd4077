// Logins that wait to be verified, by the hashing threads or by the helper: bounded, fair by source, each one once.
// Sources take turns, so that who asks a thousand times a second delays everybody else by one login at a time; each may
// have login_queue_per_source_max waiting. Equal ones (same user and password, and same record), waiting or at work,
// are one job with several waiters. Threading: a plain object under its owner's lock. Tested in login_queue_test.cc.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/digest.h"
#include "base/address.h"
#include "base/auth_methods.h"
#include "base/limits.h"
#include "base/secret.h"
#include "base/time.h"

namespace stile::auth {

class LoginInbox;  // login_inbox.h

/// Who is told what came of a job.
struct LoginWaiter {
  std::shared_ptr<LoginInbox> inbox;
  std::uint64_t ticket = 0;

  friend bool operator==(const LoginWaiter&, const LoginWaiter&) = default;
};

/// Whose turn a job takes: an address, or, where all users share one, each of them.
struct LoginSource {
  Address address;
  std::string user;

  friend bool operator==(const LoginSource&, const LoginSource&) = default;
};

struct LoginJob {
  using Clock = std::chrono::steady_clock;

  Digest digest{};
  bool alone = false;  // no equal one joins it: the password may be right once only
  LoginSource source;
  Secret password;
  std::string hash;  // that the password is compared with: for the hashing threads
  // For the helper:
  AuthMethod method = AuthMethod::password;
  std::string service;
  std::string user;
  Address client;
  std::string listener;
  std::vector<std::uint8_t> token;  // of AuthMethod::gssapi, in the place of user and password
  std::uint64_t conversation = 0;   // likewise
  Clock::time_point since;
  std::vector<LoginWaiter> waiters;
};

class LoginQueue {
 public:
  /// The job's one waiter joins an equal job where there is one. False: there is no room.
  [[nodiscard]] bool add(std::unique_ptr<LoginJob> job);
  /// The next one in turn, which stays known as being at work until `finish`; nullptr where none waits.
  [[nodiscard]] LoginJob* take();
  /// What `take` gave.
  [[nodiscard]] std::unique_ptr<LoginJob> finish(LoginJob* job);
  /// Those that have waited for longer than `wait`, which are done with.
  [[nodiscard]] std::vector<std::unique_ptr<LoginJob>> expire(LoginJob::Clock::time_point now, Duration wait);
  /// All of them, waiting and at work, which are done with.
  [[nodiscard]] std::vector<std::unique_ptr<LoginJob>> drain();
  /// Nobody else wants it: it is not verified.
  void abandon(const LoginWaiter& waiter);
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }
  /// Since when the one waits that has waited longest.
  [[nodiscard]] std::optional<LoginJob::Clock::time_point> oldest() const {
    return waiting_.empty() ? std::nullopt : std::optional(waiting_.front()->since);
  }

 private:
  using Jobs = std::deque<std::unique_ptr<LoginJob>>;

  [[nodiscard]] LoginJob* equal_to(const Digest& digest) noexcept;
  [[nodiscard]] std::size_t waiting_of(const LoginSource& source) const noexcept;
  void leave_turns(const LoginSource& source);

  Jobs waiting_;  // oldest first
  Jobs working_;
  std::deque<LoginSource> turns_;  // sources of those that wait, each once, the next first
};

}  // namespace stile::auth
