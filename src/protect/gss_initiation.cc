#include "protect/gss_initiation.h"

#include <array>
#include <utility>
#include <vector>

#include "base/limits.h"

namespace stile::protect {

Result<void> GssInitiation::handshake() {
  while (!established()) {
    if (failure() != Reason::none) return fail(failure());
    if (stage_ == Stage::begin) {
      if (initiator_ == nullptr) return fail(Reason::gss_ticket);
      stage_ = Stage::context;
      if (auto begun = step({}); !begun) return begun;
    }
    const auto next = frame();
    if (!next) return std::unexpected(next.error());
    if (auto taken = take_frame(*next); !taken) return taken;
    drop_frame();
  }
  return {};
}

Result<void> GssInitiation::take_frame(const wire::GssFrame& frame) {
  // Section 3.3: the server has refused the ticket, or the level.
  if (frame.message == wire::GssMessage::abort) {
    return fail(stage_ == Stage::level ? Reason::gss_level : Reason::gss_accept);
  }
  if (stage_ == Stage::context && frame.message == wire::GssMessage::context) return step(frame.token);
  if (stage_ == Stage::level && frame.message == wire::GssMessage::level) return take_level(frame.token);
  return fail(Reason::gss_order);
}

// An empty token of the server says that its side is complete (section 3.4), which ours then has to be too.
Result<void> GssInitiation::step(ConstBytes token) {
  if (initiator_->complete()) return token.empty() ? ask_level() : fail(Reason::gss_order);
  if (token.empty() && rounds_ > 0) return fail(Reason::gss_token);
  if (++rounds_ > limits::gss_rounds_max) return fail(Reason::gss_accept);
  const auto answer = initiator_->step(token);
  if (!answer) return fail(rounds_ == 1 ? Reason::gss_ticket : Reason::gss_accept);
  if (answer->size() > limits::gss_token_octets_max) return fail(Reason::gss_ticket);
  if (!answer->empty()) send(wire::GssMessage::context, *answer);
  // Whoever has sent the last token awaits the server's word; whoever has not goes on to the level.
  if (initiator_->complete() && answer->empty()) return ask_level();
  return {};
}

Result<void> GssInitiation::ask_level() {
  auto context = initiator_->take();
  if (context == nullptr) return fail(Reason::gss_accept);
  hold(std::move(context));
  std::vector<std::uint8_t> token;
  if (!this->context()->wrap(std::array{asked_}, false, token)) return fail(Reason::gss_token);
  send(wire::GssMessage::level, token);
  stage_ = Stage::level;
  return {};
}

Result<void> GssInitiation::take_level(ConstBytes token) {
  std::vector<std::uint8_t> granted;
  const auto unwrapped = context()->unwrap(token, granted);
  if (!unwrapped || unwrapped->order != GssContext::Order::next) return fail(Reason::gss_token);
  const bool good = granted.size() == 1 && granted[0] >= asked_ && granted[0] <= confidentiality;
  if (!good) return fail(Reason::gss_level);
  establish(granted[0] == confidentiality);
  return {};
}

}  // namespace stile::protect
