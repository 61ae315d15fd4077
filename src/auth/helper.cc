#include "auth/helper.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "auth/command_program.h"
#include "auth/pam_login.h"
#include "auth/token_process.h"
#include "base/limits.h"
#include "base/secret.h"
#include "sys/privileges.h"
#include "sys/record_socket.h"
#include "sys/wait_any.h"

namespace stile::auth {
namespace {

using Room = std::vector<std::uint8_t>;

void send_verdict(int socket, const wire::HelperVerdict& verdict) {
  Room room(limits::helper_record_octets_max);
  ByteWriter writer(room);
  wire::encode_helper_verdict(writer, verdict);
  // A server that takes nothing learns by its own clock that there is no verdict.
  static_cast<void>(sys::send_record(socket, writer.written()));
}

void send_progress(int socket, const wire::HelperProgress& progress) {
  Room room(limits::helper_record_octets_max);
  ByteWriter writer(room);
  wire::encode_helper_progress(writer, progress);
  static_cast<void>(sys::send_record(socket, writer.written()));
  wipe(room);
}

void send_notice(int socket, std::string_view text) {
  std::array<std::uint8_t, limits::helper_notice_octets_max + 16> room;
  ByteWriter writer(room);
  wire::encode_helper_notice(writer, {.text = text.substr(0, limits::helper_notice_octets_max)});
  static_cast<void>(sys::send_record(socket, writer.written()));
}

/// A process that looks at one login, and says what came of it over a socket of its own.
struct Child {
  sys::Process process;
  sys::UniqueFd answers;
  std::uint64_t id = 0;
  Duration due{};
  bool answered = false;
};

class Helper {
 public:
  Helper(int socket, const HelperPlan& plan) : socket_(socket), judge_(plan.judge) {
    if (plan.accept) {
      tokens_ = std::make_unique<TokenProcess>(
          plan.accept, [this](const wire::HelperProgress& progress) { send_progress(socket_, progress); },
          [this](std::string_view text) { send_notice(socket_, text); });
    }
    if (plan.program.empty()) return;
    program_ = std::make_unique<CommandProgram>(
        plan.program, [this](const wire::HelperVerdict& verdict) { send_verdict(socket_, verdict); },
        [this](std::string_view text) { send_notice(socket_, text); });
  }

  int run();

 private:
  bool receive(Duration now);
  void take(ConstBytes record, Duration now);
  void take_token(const wire::HelperToken& token, ConstBytes record, Duration now);
  void begin(const wire::HelperLogin& login);
  int judge(int answers, const wire::HelperLogin& login) const;
  void advance(Child& child, Duration now);
  void hear(Child& child);
  void settle(Child& child, wire::HelperOutcome outcome);
  void wait(Duration now);

  int socket_;
  PamVerdict (*judge_)(const wire::HelperLogin&);
  std::vector<Child> children_;
  std::unique_ptr<CommandProgram> program_;
  std::unique_ptr<TokenProcess> tokens_;
  Room room_ = Room(limits::helper_record_octets_max);
};

int Helper::run() {
  for (;;) {
    const Duration now = sys::monotonic_now();
    if (!receive(now)) return 0;
    if (program_ != nullptr) program_->advance(now);
    if (tokens_ != nullptr) tokens_->advance(now);
    for (Child& child : children_) advance(child, now);
    std::erase_if(children_, [](const Child& child) { return !child.process.running(); });
    wait(now);
  }
}

void Helper::wait(Duration now) {
  std::vector<sys::Waited> all{{.descriptor = socket_}};
  std::optional<Duration> due;
  if (program_ != nullptr) {
    program_->watch(all);
    due = program_->due();
  }
  if (tokens_ != nullptr) {
    tokens_->watch(all);
    if (const auto token_due = tokens_->due()) due = std::min(due.value_or(*token_due), *token_due);
  }
  for (const Child& child : children_) {
    all.push_back({.descriptor = child.process.descriptor()});
    if (child.answered) continue;
    all.push_back({.descriptor = child.answers.get()});
    due = std::min(due.value_or(child.due), child.due);
  }
  static_cast<void>(sys::wait_any(all, due ? std::optional(*due - now) : std::nullopt));
}

/// False: the server is gone.
bool Helper::receive(Duration now) {
  for (;;) {
    const auto received = sys::receive_record(socket_, room_);
    if (!received && received.error().kind == ErrorKind::would_block) return true;
    if (!received && received.error().kind != ErrorKind::message_too_big) return false;
    if (received) take(ConstBytes(room_).first(*received), now);
    wipe(MutableBytes(room_).first(received ? *received : room_.size()));
  }
}

void Helper::take(ConstBytes record, Duration now) {
  if (const auto token = wire::whole_record(wire::decode_helper_token(record), record)) {
    return take_token(*token, record, now);
  }
  const auto login = wire::whole_record(wire::decode_helper_login(record), record);
  // What came too late, while the helper was being started, is not looked at: nobody waits for it.
  if (!login || Duration(static_cast<Duration::rep>(login->due)) <= now) return;
  if (login->method == AuthMethod::pam) return begin(*login);
  if (program_ != nullptr) return program_->ask(*login, now);
  send_verdict(socket_, {.id = login->id, .outcome = wire::HelperOutcome::unavailable, .user = {}, .groups = {}});
}

void Helper::take_token(const wire::HelperToken& token, ConstBytes record, Duration now) {
  if (Duration(static_cast<Duration::rep>(token.due)) <= now) return;
  if (tokens_ != nullptr) return tokens_->ask(token, record, now);
  send_progress(socket_,
                {.id = token.id, .outcome = wire::HelperOutcome::unavailable, .user = {}, .token = {}, .context = {}});
}

// ── one login by PAM ────────────────────────────────────────────────────────────────────────────────────────────────

void Helper::begin(const wire::HelperLogin& login) {
  Child child{.process = {},
              .answers = {},
              .id = login.id,
              .due = Duration(static_cast<Duration::rep>(login.due)),
              .answered = false};
  auto pair = sys::record_pair();
  if (!pair || children_.size() >= limits::helper_children_max) {
    return settle(child, wire::HelperOutcome::unavailable);
  }
  const std::array keep{pair->there.get()};
  auto process = sys::Process::fork("stile-login", keep, [&] { return judge(keep[0], login); });
  if (!process) return settle(child, wire::HelperOutcome::unavailable);
  child.process = std::move(*process);
  child.answers = std::move(pair->here);
  children_.push_back(std::move(child));
}

int Helper::judge(int answers, const wire::HelperLogin& login) const {
  sys::default_end_signals();
  const PamVerdict verdict = judge_(login);
  wire::HelperVerdict said{.id = login.id, .outcome = verdict.outcome, .user = {}, .groups = {}};
  if (verdict.outcome == wire::HelperOutcome::accepted) {
    said.user = verdict.user;
    said.groups.assign(verdict.groups.begin(), verdict.groups.end());
  }
  send_verdict(answers, said);
  return 0;
}

void Helper::advance(Child& child, Duration now) {
  if (!child.answered) hear(child);
  if (!child.answered && child.due <= now) {
    settle(child, wire::HelperOutcome::unavailable);
    child.process.kill();
  }
  const auto ending = child.process.ended();
  if (!ending || child.answered) return;
  hear(child);  // between the two looks
  if (!child.answered) settle(child, wire::HelperOutcome::crashed);
}

// Foreign code may say anything here, but only about the login that it was given.
void Helper::hear(Child& child) {
  const auto received = sys::receive_record(child.answers.get(), room_);
  if (!received) return;
  const ConstBytes record = ConstBytes(room_).first(*received);
  const auto verdict = wire::whole_record(wire::decode_helper_verdict(record), record);
  if (!verdict || verdict->id != child.id) return;
  child.answered = true;
  send_verdict(socket_, *verdict);
}

void Helper::settle(Child& child, wire::HelperOutcome outcome) {
  child.answered = true;
  send_verdict(socket_, {.id = child.id, .outcome = outcome, .user = {}, .groups = {}});
}

// ── the supervisor ──────────────────────────────────────────────────────────────────────────────────────────────────

std::string describe(const sys::Ending& ending) {
  return ending.signal != 0 ? "signal " + std::to_string(ending.signal) : "exit code " + std::to_string(ending.code);
}

/// True: the server is gone.
bool wait_for_server(int socket, Duration longest) {
  std::array watched{sys::Waited{.descriptor = socket, .what = sys::WaitFor::hang_up}};
  return !sys::wait_any(watched, longest) || watched[0].ready;
}

/// True: the helper has ended, and how; false: the server is gone.
bool wait_for_helper(int socket, sys::Process& helper, sys::Ending& ending) {
  for (;;) {
    std::array watched{sys::Waited{.descriptor = helper.descriptor()},
                       sys::Waited{.descriptor = socket, .what = sys::WaitFor::hang_up}};
    if (!sys::wait_any(watched, std::nullopt) || watched[1].ready) return false;
    if (const auto ended = helper.ended()) {
      ending = *ended;
      return true;
    }
  }
}

int supervise(int socket, const HelperPlan& plan) {
  sys::hide_memory();
  sys::ignore_end_signals();
  // Rights that a service manager gave the server are not for what judges logins.
  if (!sys::is_root() && !(sys::forbid_capabilities() && sys::drop_capabilities())) return 1;
  Duration pause = limits::helper_restart_first;
  const std::array keep{socket};
  for (;;) {
    const Duration started = sys::monotonic_now();
    auto helper = sys::Process::fork("stile-helper", keep, [&] {
      sys::hide_memory();
      return run_helper(socket, plan);
    });
    sys::Ending ending{.code = 1, .signal = 0};
    if (helper && !wait_for_helper(socket, *helper, ending)) return 0;
    if (sys::monotonic_now() - started > limits::helper_restart_max) pause = limits::helper_restart_first;
    send_notice(socket, "the authentication helper ended (" + describe(ending) + ") and is started again");
    if (wait_for_server(socket, pause)) return 0;
    pause = std::min<Duration>(2 * pause, limits::helper_restart_max);
  }
}

}  // namespace

int run_helper(int socket, const HelperPlan& plan) {
  return Helper(socket, plan).run();
}

Result<StartedHelper> start_helper(const HelperPlan& plan) {
  auto pair = sys::record_pair();
  if (!pair) return std::unexpected(pair.error());
  const std::array keep{pair->there.get()};
  auto supervisor = sys::Process::fork("stile-warden", keep, [&] {
    plan.forget();
    return supervise(keep[0], plan);
  });
  if (!supervisor) return std::unexpected(supervisor.error());
  return StartedHelper{std::move(pair->here), std::move(*supervisor)};
}

}  // namespace stile::auth
