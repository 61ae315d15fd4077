#include "protect/line.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "protect/layers.h"

namespace stile::protect {
namespace {

bool would_block(const Result<void>& result) noexcept {
  return !result && result.error().kind == ErrorKind::would_block;
}

std::unexpected<Error> reset() {
  return std::unexpected(Error{ErrorKind::reset, 0});
}

}  // namespace

void Line::take(engine::Engine& engine, engine::Socket& from) noexcept {
  engine.move(from, socket_);
}

void Line::take(engine::Engine& engine, Line& from) noexcept {
  engine.move(from.socket_, socket_);
  transform_ = std::move(from.transform_);
}

void Line::give(engine::Engine& engine, engine::Socket& to) noexcept {
  STILE_ASSERT(is_plain());
  engine.move(socket_, to);
}

void Line::protect(std::unique_ptr<Transform> transform, ConstBytes received) {
  STILE_ASSERT(transform != nullptr);
  if (transform_ != nullptr) transform = std::make_unique<Layers>(std::move(transform_), std::move(transform));
  transform_ = std::move(transform);
  if (!received.empty()) transform_->take(received);
}

Reason Line::failure() const noexcept {
  return transform_ == nullptr ? Reason::none : transform_->failure();
}

/// A peer that makes the transform answer, and reads nothing, is not read either.
bool Line::output_is_full() const noexcept {
  return transform_->to_send().size() >= limits::protected_send_octets;
}

/// One read of the socket for the transform; 0: the connection has ended.
Result<std::size_t> Line::receive_more(engine::Engine& engine) {
  std::array<std::uint8_t, limits::protected_read_octets> octets;
  const auto received = engine.receive(socket_, octets);
  if (received && *received > 0) transform_->take(ConstBytes(octets).first(*received));
  return received;
}

/// would_block where the socket does not take all of it.
Result<void> Line::flush(engine::Engine& engine) {
  while (!transform_->to_send().empty()) {
    const auto sent = engine.send(socket_, transform_->to_send());
    if (!sent) return std::unexpected(sent.error());
    transform_->sent(*sent);
  }
  return {};
}

Result<void> Line::establish(engine::Engine& engine) {
  if (transform_ == nullptr || transform_->established()) return {};
  for (;;) {
    const auto done = transform_->handshake();
    const auto flushed = flush(engine);
    if (!done && done.error().kind != ErrorKind::would_block) return done;
    if (!flushed && flushed.error().kind != ErrorKind::would_block) return flushed;
    if (done) return {};
    if (transform_->waits()) return done;
    const auto more = receive_more(engine);
    if (!more) return std::unexpected(more.error());
    if (*more == 0) return reset();
  }
}

Result<std::size_t> Line::receive_protected(engine::Engine& engine, MutableBytes into) {
  if (const auto ready = establish(engine); !ready) return std::unexpected(ready.error());
  for (;;) {
    const auto opened = transform_->open(into);
    if (opened) return opened;
    if (opened.error().kind != ErrorKind::would_block) {
      (void)flush(engine);  // it may have a word for what is wrong
      return opened;
    }
    if (const auto flushed = flush(engine); !flushed && !would_block(flushed)) return std::unexpected(flushed.error());
    if (output_is_full()) return opened;
    const auto more = receive_more(engine);
    if (!more) return more;
    if (*more > 0) continue;
    if (transform_->connection_ended()) return std::size_t{0};
    return reset();
  }
}

Result<std::size_t> Line::send_protected(engine::Engine& engine, ConstBytes octets) {
  if (const auto ready = establish(engine); !ready) return std::unexpected(ready.error());
  std::size_t taken = 0;
  for (;;) {
    const auto flushed = flush(engine);
    if (would_block(flushed)) break;
    if (!flushed) return std::unexpected(flushed.error());
    const ConstBytes rest = octets.subspan(taken);
    if (rest.empty()) break;
    const auto sealed = transform_->seal(rest.first(std::min(rest.size(), limits::protected_send_octets)));
    if (!sealed) return sealed;
    taken += *sealed;
  }
  if (taken == 0) return std::unexpected(Error{ErrorKind::would_block, 0});
  return taken;
}

Result<void> Line::shutdown_write(engine::Engine& engine) {
  if (transform_ != nullptr) {
    if (transform_->established()) transform_->finish();
    if (auto flushed = flush(engine); !flushed) return flushed;
  }
  return engine.shutdown_write(socket_);
}

Result<std::size_t> Line::discard(engine::Engine& engine, MutableBytes into) {
  const auto received = receive(engine, into);
  if (received || received.error().kind != ErrorKind::protocol || failure() == Reason::none) return received;
  return engine.receive(socket_, into);
}

void Line::wait_protected(engine::Engine& engine, engine::Interest interest) {
  const auto has = [&](engine::Interest one) { return (static_cast<int>(interest) & static_cast<int>(one)) != 0; };
  const bool established = transform_->established();
  const auto flushed = flush(engine);
  // A handshake is waited for by whoever wants to go on, either way.
  const bool wanted = has(engine::Interest::readable) || (!established && has(engine::Interest::writable));
  const bool readable = wanted && !output_is_full() && !transform_->waits();
  const bool writable = !flushed || (established && has(engine::Interest::writable));
  if (established && readable && transform_->failure() == Reason::none && transform_->holds_input()) {
    return engine.post(socket_);
  }
  engine.wait(socket_, static_cast<engine::Interest>((readable ? 1 : 0) | (writable ? 2 : 0)));
}

// What the socket does not take at once is lost, and the peer can tell: it has seen no end.
void Line::close(engine::Engine& engine) noexcept {
  if (!socket_.is_open()) return;
  if (transform_ != nullptr && transform_->established() && transform_->failure() == Reason::none) {
    transform_->finish();
    (void)flush(engine);
  }
  engine.close(socket_);
  transform_.reset();
}

void Line::abort(engine::Engine& engine) noexcept {
  engine.abort(socket_);
  transform_.reset();
}

}  // namespace stile::protect
