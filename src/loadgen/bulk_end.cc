#include "loadgen/bulk_end.h"

namespace stile::loadgen {
namespace {

/// The two directions of a tunnel are different streams.
constexpr std::uint64_t down_offset = 32'771;

constexpr std::uint64_t start_of(const Preamble& preamble, std::uint8_t stream) noexcept {
  return preamble.start + (stream == stream_down ? down_offset : 0);
}

constexpr std::uint8_t outgoing(BulkEnd::Side side) noexcept {
  return side == BulkEnd::Side::client ? stream_up : stream_down;
}

constexpr std::uint8_t incoming(BulkEnd::Side side) noexcept {
  return side == BulkEnd::Side::client ? stream_down : stream_up;
}

}  // namespace

BulkEnd::BulkEnd(const Pattern& pattern, const Preamble& preamble, Side side) noexcept
    : out_(pattern, start_of(preamble, outgoing(side)), (preamble.streams & outgoing(side)) != 0),
      in_(pattern, start_of(preamble, incoming(side)), preamble.verify),
      side_(side) {}

void BulkEnd::finish() noexcept {
  if (!out_.finishing()) out_.finish({});
}

BulkEnd::State BulkEnd::turn(engine::Engine& engine, protect::Line& line, MutableBytes scratch) {
  if (!receive(engine, line, scratch)) return State::lost;
  const bool heard_out = in_.trailer().has_value() || in_.wrong_at().has_value();
  if (heard_out && side_ == Side::origin && !out_.finishing()) {
    out_.finish({.received = in_.received(), .wrong_at = in_.wrong_at().value_or(Trailer::nothing_wrong)});
  }
  if (over()) return State::over;
  if (!send(engine, line)) return State::lost;
  if (over()) return State::over;
  line.wait(engine, out_.next().empty() ? engine::Interest::readable : engine::Interest::both);
  return State::moving;
}

/// The client needs no more than the origin's trailer, which reports about its own stream; the origin has to send one.
bool BulkEnd::over() const noexcept {
  if (side_ == Side::client) return in_.trailer().has_value() || in_.wrong_at().has_value();
  return out_.done();
}

bool BulkEnd::receive(engine::Engine& engine, protect::Line& line, MutableBytes scratch) {
  const auto received = line.receive(engine, scratch);
  if (received && *received > 0) {
    in_.take(scratch.first(*received));
    return true;
  }
  if (!received && received.error().kind == ErrorKind::would_block) return true;
  if (!received) error_ = received.error();
  return false;
}

bool BulkEnd::send(engine::Engine& engine, protect::Line& line) {
  const ConstBytes next = out_.next();
  if (next.empty()) return true;
  const auto sent = line.send(engine, next);
  if (sent) {
    out_.advance(*sent);
    return true;
  }
  if (sent.error().kind == ErrorKind::would_block) return true;
  error_ = sent.error();
  return false;
}

bool BulkEnd::was_right() const noexcept {
  const std::optional<Trailer>& report = in_.trailer();
  return report && !in_.wrong_at() && report->wrong_at == Trailer::nothing_wrong && report->received == out_.sent();
}

}  // namespace stile::loadgen
