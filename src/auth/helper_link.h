// The server's end of the conversation with its helper process (helper.h): sends logins, takes verdicts, and fails what
// gets none in time, so that a helper that is dead, stopped, slow or talks nonsense costs its own methods and nothing
// else (security reference, 6.4). Where the helper is a service of its own it is connected to, and again whenever the
// connection is lost: at once after one that lived for long, since its unit was restarted then and the service manager
// keeps its socket; else after pauses that double. Trouble is told once for each method, and once more when it is over.
// Verdicts are taken as hostile (wire/helper_record.h). Refuses: to ask again what was asked of a helper that is lost.
// Threading: any thread; one of its own talks to the helper, and `tell` is
// called on that. Tested in helper_link_test.cc, against helpers that fail in every way.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
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

  /// To one that this process started: what is lost is lost for good.
  [[nodiscard]] static Result<std::unique_ptr<HelperLink>> create(sys::UniqueFd socket, Tell tell,
                                                                  Duration wait = limits::helper_wait);
  /// To whichever listens at the path; it need not be there yet.
  [[nodiscard]] static Result<std::unique_ptr<HelperLink>> create(std::string path, Tell tell,
                                                                  Duration wait = limits::helper_wait);
  ~HelperLink();
  HelperLink(const HelperLink&) = delete;
  HelperLink& operator=(const HelperLink&) = delete;

  /// False: there is no room, and no result will come.
  [[nodiscard]] bool submit(std::unique_ptr<LoginJob> job);
  void abandon(const LoginWaiter& waiter);

 private:
  using Time = HelperExchange::Time;

  HelperLink(sys::UniqueFd socket, std::string path, Tell tell, Duration wait, sys::Notification asked);

  void work();
  void reach(std::unique_lock<std::mutex>& lock);
  void lose();
  void postpone(std::string_view why);
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
  void wait(std::optional<Time> due);

  const std::string path_;  // empty: there is none
  const Tell tell_;
  sys::Notification asked_;
  std::mutex mutex_;
  HelperExchange exchange_;  // under mutex_
  bool stopping_ = false;    // under mutex_
  // The thread's own:
  sys::UniqueFd socket_;  // not open: nobody holds the other end
  Time connected_{};
  Time attempt_due_{};
  Duration pause_{};      // before the last attempt
  std::string obstacle_;  // why it cannot be reached; empty: it can, or that is not known
  bool told_obstacle_ = false;
  bool told_nonsense_ = false;
  std::array<bool, auth_method_count> troubled_{};
  std::thread thread_;
};

}  // namespace stile::auth
