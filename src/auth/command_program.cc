#include "auth/command_program.h"

#include <algorithm>
#include <array>
#include <utility>

#include "auth/command_line.h"
#include "base/secret.h"

namespace stile::auth {
namespace {

constexpr std::size_t read_octets = 4096;

std::string describe(const sys::Ending& ending) {
  if (ending.signal != 0) return "signal " + std::to_string(ending.signal);
  return ending.code == 127 ? "it cannot be executed" : "exit code " + std::to_string(ending.code);
}

}  // namespace

CommandProgram::CommandProgram(std::vector<std::string> words, Answer answer, Say say)
    : words_(std::move(words)), answer_(std::move(answer)), say_(std::move(say)) {
  // Octets that moved would leave passwords behind.
  to_program_.reserve(limits::command_backlog_octets_max);
}

CommandProgram::~CommandProgram() {
  wipe(to_program_);
}

void CommandProgram::ask(const wire::HelperLogin& login, Duration now) {
  if (!program_ && now >= start_at_) start(now);
  const bool known = asked_.contains(login.id) || asked_.size() >= limits::helper_children_max;
  asked_.emplace(login.id, Asked{std::string(login.user), Duration(login.due)});
  if (known || !program_) return settle(login.id, wire::HelperOutcome::unavailable);
  auto line = write_command_request(login);
  if (!line) return settle(login.id, wire::HelperOutcome::refused);
  if (to_program_.size() + line->size() > limits::command_backlog_octets_max) {
    settle(login.id, wire::HelperOutcome::unavailable);
  } else {
    to_program_.insert(to_program_.end(), line->begin(), line->end());
  }
  wipe(*line);
  write();
}

void CommandProgram::advance(Duration now) {
  if (program_) {
    write();
    read(now);
  }
  if (program_) read_errors(now);
  if (program_) {
    if (const auto ending = program_->process.ended()) stop(now, describe(*ending));
  }
  if (!program_ && now >= start_at_) start(now);
  expire(now);
}

void CommandProgram::watch(std::vector<sys::Waited>& all) const {
  if (!program_) return;
  all.push_back({.descriptor = program_->process.descriptor()});
  all.push_back({.descriptor = program_->streams.output.get()});
  all.push_back({.descriptor = program_->streams.error.get()});
  if (!to_program_.empty()) {
    all.push_back({.descriptor = program_->streams.input.get(), .what = sys::WaitFor::writable});
  }
}

std::optional<Duration> CommandProgram::due() const {
  std::optional<Duration> first;
  if (!program_) first = start_at_;
  for (const auto& [id, one] : asked_) first = std::min(first.value_or(one.due), one.due);
  return first;
}

// ── the program ─────────────────────────────────────────────────────────────────────────────────────────────────────

void CommandProgram::start(Duration now) {
  auto executed = sys::Process::execute(words_);
  started_ = now;
  if (executed) {
    program_ = std::move(*executed);
    return;
  }
  start_at_ = now + pause_;
}

// Whoever it was asked about is told at once: what starts anew knows nothing of them.
void CommandProgram::stop(Duration now, const std::string& why) {
  read_errors(now);
  program_.reset();
  if (now - started_ > limits::helper_restart_max) pause_ = limits::helper_restart_first;
  start_at_ = now + pause_;
  pause_ = std::min<Duration>(2 * pause_, limits::helper_restart_max);
  notice(words_.front() + " ended (" + why + ") and is started again", now);
  wipe(to_program_);
  to_program_.clear();
  from_program_.clear();
  errors_.clear();
  while (!asked_.empty()) settle(asked_.begin()->first, wire::HelperOutcome::unavailable);
}

void CommandProgram::write() {
  if (to_program_.empty()) return;
  const auto written = sys::write_some(program_->streams.input, to_program_);
  if (!written) return;  // later, or it has ended, which is seen elsewhere
  const auto end = to_program_.begin() + static_cast<std::ptrdiff_t>(*written);
  std::ranges::move(end, to_program_.end(), to_program_.begin());
  wipe(MutableBytes(to_program_).last(*written));
  to_program_.resize(to_program_.size() - *written);
}

void CommandProgram::read(Duration now) {
  std::array<std::uint8_t, read_octets> room;
  while (program_) {
    const auto got = sys::read_some(program_->streams.output, room);
    if (!got || *got == 0) return;
    from_program_.append(reinterpret_cast<const char*>(room.data()), *got);
    std::size_t begin = 0;
    for (std::size_t end; (end = from_program_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      take(std::string_view(from_program_).substr(begin, end - begin), now);
    }
    from_program_.erase(0, begin);
    if (from_program_.size() > limits::command_line_octets_max) return stop(now, "its line has no end");
  }
}

void CommandProgram::take(std::string_view line, Duration now) {
  const auto answer = read_command_answer(line);
  if (!answer) return notice(words_.front() + " wrote a line that is no answer, which is ignored", now);
  const auto found = asked_.find(answer->id);
  if (found == asked_.end()) return;  // too late
  if (!answer->accepted) return settle(answer->id, wire::HelperOutcome::refused);
  const std::string user = answer->user.value_or(found->second.user);
  asked_.erase(found);
  answer_({.id = answer->id,
           .outcome = wire::HelperOutcome::accepted,
           .user = user,
           .groups = {answer->groups.begin(), answer->groups.end()}});
}

void CommandProgram::settle(std::uint64_t id, wire::HelperOutcome outcome) {
  asked_.erase(id);
  answer_({.id = id, .outcome = outcome, .user = {}, .groups = {}});
}

void CommandProgram::expire(Duration now) {
  std::vector<std::uint64_t> late;
  for (const auto& [id, one] : asked_) {
    if (one.due <= now) late.push_back(id);
  }
  for (const std::uint64_t id : late) settle(id, wire::HelperOutcome::unavailable);
}

// ── what it says to people ──────────────────────────────────────────────────────────────────────────────────────────

void CommandProgram::read_errors(Duration now) {
  std::array<std::uint8_t, read_octets> room;
  for (auto got = sys::read_some(program_->streams.error, room); got && *got > 0;
       got = sys::read_some(program_->streams.error, room)) {
    errors_.append(reinterpret_cast<const char*>(room.data()), *got);
    std::size_t begin = 0;
    for (std::size_t end; (end = errors_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (end > begin) notice(words_.front() + ": " + errors_.substr(begin, end - begin), now);
    }
    errors_.erase(0, begin);
    if (errors_.size() > limits::helper_notice_octets_max) errors_.clear();
  }
}

void CommandProgram::notice(std::string text, Duration now) {
  if (now - notices_since_ > limits::command_notices_every) {
    notices_since_ = now;
    notices_ = 0;
  }
  if (++notices_ > limits::command_notices_max) return;
  if (notices_ == limits::command_notices_max) text = words_.front() + " says more than is shown";
  text.resize(std::min(text.size(), limits::helper_notice_octets_max));
  say_(text);
}

}  // namespace stile::auth
