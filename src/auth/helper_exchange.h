// Which logins are with the helper, and which wait for their turn: the server's side of helper_link.h as a value. At
// most helper_requests_max are with the helper at once, so that what is asked is looked at soon; whoever gets no
// verdict in time is done with, whatever the helper says later. Refuses: to believe a verdict on anything that was not
// asked, or was settled. Threading: a plain object under its owner's lock. Tested in helper_exchange_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "auth/login_queue.h"

namespace stile::auth {

class HelperExchange {
 public:
  using Time = LoginJob::Clock::time_point;
  using Jobs = std::vector<std::unique_ptr<LoginJob>>;

  explicit HelperExchange(Duration wait = limits::helper_wait) noexcept : wait_(wait) {}

  /// False: there is no room.
  [[nodiscard]] bool add(std::unique_ptr<LoginJob> job) { return queue_.add(std::move(job)); }
  void abandon(const LoginWaiter& waiter) { queue_.abandon(waiter); }

  struct Request {
    std::uint64_t id = 0;
    const LoginJob* job = nullptr;
  };
  /// What is to be sent next; it is with the helper from then on. Absent where nothing waits, or the helper has enough.
  [[nodiscard]] std::optional<Request> next();
  /// There is a verdict, or it cannot be sent: the job is done with. nullptr where nobody asked.
  [[nodiscard]] std::unique_ptr<LoginJob> settle(std::uint64_t id);
  /// Those whose time is over.
  [[nodiscard]] Jobs expire(Time now);
  /// All there are.
  [[nodiscard]] Jobs drain();
  /// When `expire` has something next, at the latest.
  [[nodiscard]] std::optional<Time> due() const;

 private:
  Duration wait_;
  LoginQueue queue_;
  std::map<std::uint64_t, LoginJob*> sent_;  // the queue's own
  std::uint64_t next_id_ = 1;
};

}  // namespace stile::auth
