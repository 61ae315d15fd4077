#include "auth/token_process.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/secret.h"
#include "sys/record_socket.h"

namespace stile::auth {

TokenProcess::TokenProcess(Body body, Answer answer, Say say)
    : body_(std::move(body)), answer_(std::move(answer)), say_(std::move(say)) {}

void TokenProcess::ask(const wire::HelperToken& token, ConstBytes record, Duration now) {
  asked_.emplace(token.id, Duration(static_cast<Duration::rep>(token.due)));
  const bool asked = (process_.running() || start(now)) && sys::send_record(socket_.get(), record);
  if (!asked) settle(token.id, wire::HelperOutcome::unavailable);
}

bool TokenProcess::start(Duration now) {
  if (now < start_at_) return false;
  start_at_ = now + limits::helper_restart_first;
  auto pair = sys::record_pair();
  if (!pair) return false;
  const std::array keep{pair->there.get()};
  auto process = sys::Process::fork("stile-gssapi", keep, [&] {
    sys::hide_memory();
    return body_(keep[0]);
  });
  if (!process) return false;
  process_ = std::move(*process);
  socket_ = std::move(pair->here);
  room_.resize(limits::helper_record_octets_max);
  return true;
}

void TokenProcess::advance(Duration now) {
  if (!process_.running()) return;
  hear();
  const auto is_late = [&](const auto& asked) { return asked.second <= now; };
  // What holds one token holds all that came behind it.
  if (std::ranges::any_of(asked_, is_late)) {
    process_.kill();
    return stop(wire::HelperOutcome::unavailable);
  }
  if (!process_.ended()) return;
  hear();  // between the two looks
  say_("the process that accepts GSSAPI tokens ended");
  stop(wire::HelperOutcome::crashed);
}

void TokenProcess::hear() {
  for (;;) {
    const auto received = sys::receive_record(socket_.get(), room_);
    if (!received) return;
    const ConstBytes record = ConstBytes(room_).first(*received);
    if (const auto notice = wire::whole_record(wire::decode_helper_notice(record), record)) {
      say_(notice->text);
      continue;
    }
    const auto progress = wire::whole_record(wire::decode_helper_progress(record), record);
    if (progress && asked_.erase(progress->id) != 0) answer_(*progress);
    wipe(MutableBytes(room_).first(*received));
  }
}

void TokenProcess::stop(wire::HelperOutcome outcome) {
  process_ = {};
  socket_.reset();
  while (!asked_.empty()) settle(asked_.begin()->first, outcome);
}

void TokenProcess::settle(std::uint64_t id, wire::HelperOutcome outcome) {
  asked_.erase(id);
  answer_({.id = id, .outcome = outcome, .user = {}, .token = {}, .context = {}});
}

void TokenProcess::watch(std::vector<sys::Waited>& all) const {
  if (!process_.running()) return;
  all.push_back({.descriptor = process_.descriptor()});
  all.push_back({.descriptor = socket_.get()});
}

std::optional<Duration> TokenProcess::due() const {
  std::optional<Duration> first;
  for (const auto& [id, due] : asked_) first = std::min(first.value_or(due), due);
  return first;
}

}  // namespace stile::auth
