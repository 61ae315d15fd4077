#include "auth/helper_link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "auth/authenticator.h"
#include "sys/errno_table.h"
#include "sys/record_socket.h"
#include "sys/wait_any.h"

namespace stile::auth {
namespace {

constexpr std::size_t login_octets_max = 2 * limits::KiB;  // of five fields of 255 octets

std::uint64_t due_of(const LoginJob& job) noexcept {
  // steady_clock is CLOCK_MONOTONIC.
  const Duration due = job.since.time_since_epoch() + limits::helper_back_end_wait;
  return static_cast<std::uint64_t>(due.count());
}

void tell_waiters(const LoginJob& job, LoginOutcome outcome, const std::optional<Identity>& who) {
  for (const LoginWaiter& waiter : job.waiters) waiter.inbox->put({waiter.ticket, outcome, who, {}});
}

LoginOutcome outcome_of(wire::HelperOutcome outcome) noexcept {
  switch (outcome) {
    case wire::HelperOutcome::accepted:
      return LoginOutcome::accepted;
    case wire::HelperOutcome::refused:
      return LoginOutcome::refused;
    case wire::HelperOutcome::unavailable:
      return LoginOutcome::unavailable;
    case wire::HelperOutcome::more:
      return LoginOutcome::more;
    case wire::HelperOutcome::crashed:
      break;
  }
  return LoginOutcome::crashed;
}

}  // namespace

Result<std::unique_ptr<HelperLink>> HelperLink::create(sys::UniqueFd socket, Tell tell, Duration wait) {
  auto asked = sys::Notification::create();
  if (!asked) return std::unexpected(asked.error());
  return std::unique_ptr<HelperLink>(new HelperLink(std::move(socket), {}, std::move(tell), wait, std::move(*asked)));
}

Result<std::unique_ptr<HelperLink>> HelperLink::create(std::string path, Tell tell, Duration wait) {
  auto asked = sys::Notification::create();
  if (!asked) return std::unexpected(asked.error());
  return std::unique_ptr<HelperLink>(new HelperLink({}, std::move(path), std::move(tell), wait, std::move(*asked)));
}

HelperLink::HelperLink(sys::UniqueFd socket, std::string path, Tell tell, Duration wait, sys::Notification asked)
    : path_(std::move(path)),
      tell_(std::move(tell)),
      asked_(std::move(asked)),
      exchange_(wait),
      socket_(std::move(socket)) {
  thread_ = std::thread([this] { work(); });
}

HelperLink::~HelperLink() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  asked_.notify();
  thread_.join();
}

bool HelperLink::submit(std::unique_ptr<LoginJob> job) {
  job->since = LoginJob::Clock::now();
  {
    const std::scoped_lock lock(mutex_);
    if (!exchange_.add(std::move(job))) return false;
  }
  asked_.notify();
  return true;
}

void HelperLink::abandon(const LoginWaiter& waiter) {
  const std::scoped_lock lock(mutex_);
  exchange_.abandon(waiter);
}

// ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────────

void HelperLink::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    fail(exchange_.expire(LoginJob::Clock::now()), lock);
    if (!socket_.is_open()) {
      fail(exchange_.drain(), lock);
      reach(lock);
    }
    send_all(lock);
    auto due = exchange_.due();
    if (!socket_.is_open()) {
      if (due) continue;  // lost meanwhile
      if (!path_.empty()) due = attempt_due_;
    }
    lock.unlock();
    wait(due);
    lock.lock();
    receive_all(lock);
  }
}

/// One attempt where one is due; nothing of it blocks.
void HelperLink::reach(std::unique_lock<std::mutex>& lock) {
  if (path_.empty()) return;
  lock.unlock();
  const Time now = LoginJob::Clock::now();
  if (now >= attempt_due_) {
    auto connected = sys::connect_records(path_);
    if (connected) {
      socket_ = std::move(*connected);
      connected_ = now;
    } else {
      postpone(sys::describe(connected.error()));
    }
  }
  if (!obstacle_.empty() && !std::exchange(told_obstacle_, true)) {
    tell_("cannot reach the authentication helper at unix:" + path_, obstacle_,
          "start its service, and see what that says; the server tries again by itself");
  }
  lock.lock();
}

void HelperLink::lose() {
  socket_.reset();
  if (LoginJob::Clock::now() - connected_ <= limits::helper_reconnect_max) return postpone("it ends the connection");
  pause_ = Duration::zero();
  attempt_due_ = {};
  obstacle_.clear();
  told_obstacle_ = false;
}

void HelperLink::postpone(std::string_view why) {
  pause_ = std::clamp<Duration>(2 * pause_, limits::helper_restart_first, limits::helper_reconnect_max);
  attempt_due_ = LoginJob::Clock::now() + pause_;
  obstacle_ = why;
}

void HelperLink::wait(std::optional<Time> due) {
  std::optional<Duration> longest;
  // A login is late when its time is over, not when it is reached.
  if (due) longest = *due - LoginJob::Clock::now() + std::chrono::milliseconds(1);
  std::array watched{sys::Waited{.descriptor = asked_.descriptor()}, sys::Waited{.descriptor = socket_.get()}};
  static_cast<void>(sys::wait_any(watched, longest));
  if (watched[0].ready) asked_.clear();
}

void HelperLink::send_all(std::unique_lock<std::mutex>& lock) {
  while (socket_.is_open()) {
    const auto request = exchange_.next();
    if (!request) return;
    if (send(*request)) continue;
    HelperExchange::Jobs failed;
    failed.push_back(exchange_.settle(request->id));
    fail(std::move(failed), lock);
  }
}

/// Where the helper reads nothing, its socket is full one day: the login fails at once then.
bool HelperLink::send(const HelperExchange::Request& request) {
  const LoginJob& job = *request.job;
  if (job.method == AuthMethod::gssapi) return send_token(request);
  const std::string client = job.client.to_string();
  std::array<std::uint8_t, login_octets_max> room;
  ByteWriter writer(room);
  wire::encode_helper_login(writer, {.id = request.id,
                                     .due = due_of(job),
                                     .method = job.method,
                                     .service = job.service,
                                     .user = job.user,
                                     .password = job.password.reveal(),
                                     .client = client,
                                     .listener = job.listener});
  STILE_ASSERT(!writer.overflowed());
  const bool sent = send_record(writer.written());
  wipe(room);
  return sent;
}

bool HelperLink::send_token(const HelperExchange::Request& request) {
  std::vector<std::uint8_t> room(limits::helper_record_octets_max);
  ByteWriter writer(room);
  wire::encode_helper_token(writer, {.id = request.id,
                                     .due = due_of(*request.job),
                                     .conversation = request.job->conversation,
                                     .token = request.job->token});
  return send_record(writer.written());
}

bool HelperLink::send_record(ConstBytes record) {
  const auto sent = sys::send_record(socket_.get(), record);
  if (!sent && sent.error().kind == ErrorKind::reset) lose();
  return sent.has_value();
}

void HelperLink::receive_all(std::unique_lock<std::mutex>& lock) {
  std::vector<std::uint8_t> room(limits::helper_record_octets_max);
  while (socket_.is_open() && !stopping_) {
    const auto received = sys::receive_record(socket_.get(), room);
    if (received) {
      take(ConstBytes(room).first(*received), lock);
      wipe(MutableBytes(room).first(*received));
    } else if (received.error().kind == ErrorKind::message_too_big) {
      take({}, lock);
    } else {
      if (received.error().kind != ErrorKind::would_block) lose();
      return;
    }
  }
}

void HelperLink::take(ConstBytes record, std::unique_lock<std::mutex>& lock) {
  if (wire::is_helper_record(record, wire::HelperKind::verdict)) {
    if (const auto verdict = wire::whole_record(wire::decode_helper_verdict(record), record)) {
      return settle(*verdict, lock);
    }
  } else if (wire::is_helper_record(record, wire::HelperKind::progress)) {
    if (const auto progress = wire::whole_record(wire::decode_helper_progress(record), record)) {
      return settle(*progress, lock);
    }
  } else if (const auto notice = wire::whole_record(wire::decode_helper_notice(record), record)) {
    lock.unlock();
    tell_(notice->text, {}, {});
    return lock.lock();
  }
  if (std::exchange(told_nonsense_, true)) return;
  lock.unlock();
  tell_("the authentication helper says what no helper says", "its record is malformed", "it is ignored");
  lock.lock();
}

void HelperLink::settle(const wire::HelperVerdict& verdict, std::unique_lock<std::mutex>& lock) {
  const std::unique_ptr<LoginJob> job = exchange_.settle(verdict.id);
  if (job == nullptr) return;  // too late
  lock.unlock();
  std::optional<Identity> who;
  LoginOutcome outcome = outcome_of(verdict.outcome);
  if (outcome == LoginOutcome::accepted) {
    who = Authenticator::accepted_user(job->method, verdict.user, verdict.groups);
    if (!who) outcome = LoginOutcome::refused;
  }
  tell_waiters(*job, outcome, who);
  note(job->method, outcome);
  lock.lock();
}

// The verdict of one kind of request is none on another.
void HelperLink::settle(const wire::HelperProgress& progress, std::unique_lock<std::mutex>& lock) {
  const std::unique_ptr<LoginJob> job = exchange_.settle(progress.id);
  if (job == nullptr) return;  // too late
  lock.unlock();
  LoginResult result{.ticket = 0, .outcome = outcome_of(progress.outcome), .who = {}};
  if (result.outcome == LoginOutcome::accepted && job->method == AuthMethod::gssapi) {
    result.who = Authenticator::accepted_user(job->method, progress.user, {});
    const auto* const context = reinterpret_cast<const char*>(progress.context.data());
    result.gss.context = Secret({context, progress.context.size()});
  }
  if (result.outcome == LoginOutcome::accepted && !result.who) result.outcome = LoginOutcome::refused;
  result.gss.token.assign(progress.token.begin(), progress.token.end());
  note(job->method, result.outcome);
  // A token is nobody else's, and whose it is may have gone.
  if (!job->waiters.empty()) {
    result.ticket = job->waiters.front().ticket;
    job->waiters.front().inbox->put(std::move(result));
  }
  lock.lock();
}

void HelperLink::note(AuthMethod method, LoginOutcome outcome) {
  obstacle_.clear();
  told_obstacle_ = false;
  if (outcome == LoginOutcome::unavailable) return trouble(method, "no verdict came in time");
  if (outcome == LoginOutcome::crashed) return trouble(method, "the process that judged it crashed");
  recovered(method);
}

void HelperLink::fail(HelperExchange::Jobs jobs, std::unique_lock<std::mutex>& lock) {
  if (jobs.empty()) return;
  lock.unlock();
  for (const auto& job : jobs) {
    tell_waiters(*job, LoginOutcome::unavailable, std::nullopt);
    trouble(job->method,
            socket_.is_open() ? "the authentication helper does not answer" : "the authentication helper is gone");
  }
  lock.lock();
}

void HelperLink::trouble(AuthMethod method, std::string_view why) {
  if (std::exchange(troubled_[static_cast<std::size_t>(method)], true)) return;
  const bool for_good = !socket_.is_open() && path_.empty();
  tell_("logins by " + std::string(name(method)) + " fail", why, for_good ? "restart the server" : "");
}

void HelperLink::recovered(AuthMethod method) {
  if (!std::exchange(troubled_[static_cast<std::size_t>(method)], false)) return;
  tell_("logins by " + std::string(name(method)) + " are judged again", {}, {});
}

}  // namespace stile::auth
