// The server's end of the conversation with its helper process (helper.h): sends logins, takes verdicts, and fails what
// gets none in time, so that a helper that is dead, stopped, slow or talks nonsense costs its own methods and nothing
// else (security reference, 6.4). Trouble is told once for each method, and once more when it is over. Verdicts are
// taken as hostile (wire/helper_record.h). Threading: any thread; one of its own talks to the helper, and `tell` is
// called on that. Tested in helper_link_test.cc, against helpers that fail in every way.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "auth/helper_exchange.h"
#include "auth/login_inbox.h"
#include "base/auth_methods.h"
#include "sys/main_loop.h"
#include "sys/unique_fd.h"
#include "wire/helper_record.h"

namespace stile::auth {

class HelperLink {
 public:
  /// What is the matter, why, and what to do; the latter two may be empty.
  using Tell = std::function<void(std::string_view what, std::string_view why, std::string_view cure)>;

  [[nodiscard]] static Result<std::unique_ptr<HelperLink>> create(sys::UniqueFd socket, Tell tell,
                                                                  Duration wait = limits::helper_wait);
  ~HelperLink();
  HelperLink(const HelperLink&) = delete;
  HelperLink& operator=(const HelperLink&) = delete;

  /// False: there is no room, and no result will come.
  [[nodiscard]] bool submit(std::unique_ptr<LoginJob> job);
  void abandon(const LoginWaiter& waiter);

 private:
  HelperLink(sys::UniqueFd socket, Tell tell, Duration wait, sys::Notification asked);

  void work();
  void send_all(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] bool send(const HelperExchange::Request& request);
  [[nodiscard]] bool send_token(const HelperExchange::Request& request);
  [[nodiscard]] bool send_record(ConstBytes record);
  void receive_all(std::unique_lock<std::mutex>& lock);
  void take(ConstBytes record, std::unique_lock<std::mutex>& lock);
  void settle(const wire::HelperVerdict& verdict, std::unique_lock<std::mutex>& lock);
  void settle(const wire::HelperProgress& progress, std::unique_lock<std::mutex>& lock);
  void note(AuthMethod method, LoginOutcome outcome);
  void fail(HelperExchange::Jobs jobs, std::unique_lock<std::mutex>& lock);
  void trouble(AuthMethod method, std::string_view why);
  void recovered(AuthMethod method);
  void wait(std::optional<HelperExchange::Time> due);

  const sys::UniqueFd socket_;
  const Tell tell_;
  sys::Notification asked_;
  std::mutex mutex_;
  HelperExchange exchange_;  // under mutex_
  bool stopping_ = false;    // under mutex_
  // The thread's own:
  bool gone_ = false;  // nobody holds the other end any longer
  bool told_nonsense_ = false;
  std::array<bool, auth_method_count> troubled_{};
  std::thread thread_;
};

}  // namespace stile::auth
