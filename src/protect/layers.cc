#include "protect/layers.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::protect {

Layers::Layers(std::unique_ptr<Transform> outer, std::unique_ptr<Transform> inner)
    : outer_(std::move(outer)), inner_(std::move(inner)) {
  STILE_ASSERT(outer_->established());
}

/// Octets that the outer one has opened, for the inner one. would_block: it needs more of the peer's.
Result<void> Layers::pull() {
  std::array<std::uint8_t, limits::protected_read_octets> octets;
  const auto opened = outer_->open(octets);
  if (!opened) return std::unexpected(opened.error());
  if (*opened > 0) {
    inner_->take(ConstBytes(octets).first(*opened));
    return {};
  }
  return std::unexpected(Error{ErrorKind::reset, 0});
}

/// What the inner one has to send goes through the outer one.
Result<void> Layers::push() {
  while (!inner_->to_send().empty()) {
    const ConstBytes rest = inner_->to_send();
    const auto sealed = outer_->seal(rest.first(std::min(rest.size(), limits::protected_send_octets)));
    if (!sealed) return std::unexpected(sealed.error());
    inner_->sent(*sealed);
  }
  return {};
}

Result<void> Layers::handshake() {
  for (;;) {
    const auto done = inner_->handshake();
    if (const auto pushed = push(); !pushed) return pushed;
    if (done || done.error().kind != ErrorKind::would_block || inner_->waits()) return done;
    if (const auto pulled = pull(); !pulled) return pulled;
  }
}

Result<std::size_t> Layers::open(MutableBytes plain) {
  for (;;) {
    const auto opened = inner_->open(plain);
    if (const auto pushed = push(); !pushed) return std::unexpected(pushed.error());
    if (opened || opened.error().kind != ErrorKind::would_block) return opened;
    const auto pulled = pull();
    if (pulled) continue;
    // The outer stream's end is to the inner one what the connection's is to the outer.
    if (pulled.error().kind == ErrorKind::reset && inner_->connection_ended()) return std::size_t{0};
    return std::unexpected(pulled.error());
  }
}

bool Layers::connection_ended() noexcept {
  const bool outer_ended = outer_->connection_ended();
  return inner_->connection_ended() && outer_ended;
}

Result<std::size_t> Layers::seal(ConstBytes plain) {
  const auto sealed = inner_->seal(plain);
  if (const auto pushed = push(); !pushed) return std::unexpected(pushed.error());
  return sealed;
}

void Layers::finish() {
  inner_->finish();
  if (push()) outer_->finish();
}

Reason Layers::failure() const noexcept {
  const Reason inner = inner_->failure();
  return inner == Reason::none ? outer_->failure() : inner;
}

}  // namespace stile::protect
