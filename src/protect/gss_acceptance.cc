#include "protect/gss_acceptance.h"

#include <array>
#include <optional>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::protect {
namespace {

// Section 4: what the level's octet says.
constexpr std::uint8_t level_clear = 0;
constexpr std::uint8_t level_integrity = 1;
constexpr std::uint8_t level_confidentiality = 2;
constexpr std::uint8_t level_selective = 3;

/// What a client that asks so is granted; absent: nothing of the kind.
std::optional<std::uint8_t> granted_level(std::uint8_t asked, const GssRules& rules, bool can_encrypt) {
  const std::optional<std::uint8_t> strongest = can_encrypt
                                                    ? std::optional(level_confidentiality)
                                                    : (rules.encrypt ? std::nullopt : std::optional(level_integrity));
  switch (asked) {
    case level_clear:
      return rules.clear ? std::optional(level_clear) : std::nullopt;
    case level_integrity:
      return rules.encrypt ? strongest : std::optional(level_integrity);
    case level_confidentiality:
    case level_selective:  // never granted: each message would be judged by whether it happens to be encrypted
      return strongest;
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<void> GssAcceptance::handshake() {
  while (!established()) {
    if (failure() != Reason::none) return fail(failure());
    if (waits_) return std::unexpected(Error{ErrorKind::would_block, 0});
    const auto next = frame();
    if (!next) return std::unexpected(next.error());
    if (auto taken = complete_ ? take_level(*next) : take_token(*next); !taken) return taken;
  }
  return {};
}

Result<void> GssAcceptance::take_token(const wire::GssFrame& frame) {
  if (frame.message != wire::GssMessage::context) return fail(Reason::gss_order);
  if (frame.token.empty()) return fail(Reason::gss_token);
  if (++rounds_ > limits::gss_rounds_max) return fail(Reason::gss_accept);
  token_ = frame.token;
  waits_ = true;
  return {};
}

void GssAcceptance::advance(ConstBytes answer) {
  STILE_ASSERT(waits_);
  waits_ = false;
  drop_frame();
  // An empty one would say that the context stands.
  if (answer.empty()) return refuse(Reason::gss_accept);
  send(wire::GssMessage::context, answer);
}

void GssAcceptance::complete(ConstBytes answer, std::unique_ptr<GssContext> context) {
  STILE_ASSERT(waits_);
  waits_ = false;
  drop_frame();
  if (context == nullptr) return refuse(Reason::gss_accept);
  hold(std::move(context));
  complete_ = true;
  send(wire::GssMessage::context, answer);
}

void GssAcceptance::refuse(Reason reason) {
  waits_ = false;
  (void)fail(reason);
}

Result<void> GssAcceptance::take_level(const wire::GssFrame& frame) {
  if (frame.message != wire::GssMessage::level) return fail(Reason::gss_order);
  if (frame.is_bare_level()) return rules_.bare_levels ? grant(frame.token[0], true) : fail(Reason::gss_level);
  std::vector<std::uint8_t> plain;
  const auto unwrapped = context()->unwrap(frame.token, plain);
  if (!unwrapped || unwrapped->order != GssContext::Order::next) return fail(Reason::gss_token);
  if (plain.size() != 1) return fail(Reason::gss_level);
  return grant(plain[0], false);
}

Result<void> GssAcceptance::grant(std::uint8_t asked, bool bare) {
  const auto level = granted_level(asked, rules_, context()->can_encrypt());
  if (!level) return fail(Reason::gss_level);
  const std::array said{*level};
  std::vector<std::uint8_t> token(said.begin(), said.end());
  if (!bare) {
    token.clear();
    if (!context()->wrap(said, false, token)) return fail(Reason::gss_token);
  }
  drop_frame();
  send(wire::GssMessage::level, token);
  clear_ = *level == level_clear;
  if (clear_) {
    establish_without_protection();
  } else {
    establish(*level == level_confidentiality);
  }
  return {};
}

}  // namespace stile::protect
