#include "loadgen/stream.h"

#include <algorithm>

namespace stile::loadgen {

// ── writer ──────────────────────────────────────────────────────────────────────────────────────────────────────────

ConstBytes StreamWriter::next() const noexcept {
  if (!trailer_) return carries_ ? pattern_->at(start_ + position_, chunk_octets) : ConstBytes();
  const std::size_t into_chunk = position_ % chunk_octets;
  if (into_chunk != 0) return pattern_->at(start_ + position_, chunk_octets - into_chunk);
  return ConstBytes(encoded_).subspan(trailer_sent_);
}

void StreamWriter::advance(std::size_t sent) noexcept {
  if (trailer_ && position_ % chunk_octets == 0) {
    trailer_sent_ += sent;
    return;
  }
  position_ += sent;
  encode_trailer_if_due();
}

void StreamWriter::finish(const Trailer& report) noexcept {
  STILE_ASSERT(!trailer_);
  trailer_ = report;
  encode_trailer_if_due();
}

void StreamWriter::encode_trailer_if_due() noexcept {
  if (!trailer_ || position_ % chunk_octets != 0) return;
  trailer_->sent = position_;
  encoded_ = encode(*trailer_);
}

// ── checker ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void StreamChecker::take(ConstBytes octets) noexcept {
  while (!octets.empty() && !wrong_at_) {
    if (trailer_) {
      wrong_at_ = position_;  // octets behind the end
      return;
    }
    const bool at_head = position_ % chunk_octets == 0;
    octets = octets.subspan(at_head ? take_head(octets) : take_pattern(octets));
  }
}

/// The first octets of a chunk, or a trailer.
std::size_t StreamChecker::take_head(ConstBytes octets) noexcept {
  const std::size_t taken = std::min(octets.size(), head_.size() - head_size_);
  std::ranges::copy(octets.first(taken), head_.begin() + static_cast<std::ptrdiff_t>(head_size_));
  head_size_ += taken;
  if (head_size_ < head_.size()) return taken;
  head_size_ = 0;
  trailer_ = decode_trailer(head_);
  if (!trailer_) {
    compare(head_);
  } else if (trailer_->sent != position_) {
    wrong_at_ = position_;
  }
  return taken;
}

std::size_t StreamChecker::take_pattern(ConstBytes octets) noexcept {
  const std::size_t left = chunk_octets - static_cast<std::size_t>(position_ % chunk_octets);
  const std::size_t taken = std::min(octets.size(), left);
  compare(octets.first(taken));
  return taken;
}

void StreamChecker::compare(ConstBytes octets) noexcept {
  if (const auto wrong = pattern_->first_wrong(start_ + position_, octets, verify_)) {
    position_ = *wrong - start_;
    wrong_at_ = position_;
    return;
  }
  position_ += octets.size();
}

}  // namespace stile::loadgen
