// One direction of a bulk tunnel: chunks of the pattern, then a trailer (origin_messages.h). The end stands in the
// octets and not in a FIN, because not every proxy passes a half-close on. A trailer may stand only where a chunk would
// begin.
// Threading: one thread. Pure. Tested in stream_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "loadgen/origin_messages.h"
#include "loadgen/pattern.h"

namespace stile::loadgen {

inline constexpr std::size_t chunk_octets = Pattern::piece_octets_max;

class StreamWriter {
 public:
  StreamWriter() noexcept = default;
  /// `carries`: chunks are sent until `finish`; else nothing but the trailer ever is.
  StreamWriter(const Pattern& pattern, std::uint64_t start, bool carries) noexcept
      : pattern_(&pattern), start_(start), carries_(carries) {}

  /// What to send, as much of it as the socket takes. Empty: nothing.
  [[nodiscard]] ConstBytes next() const noexcept;
  void advance(std::size_t sent) noexcept;

  /// The stream ends behind the chunk that has begun. `report` is about the other one; its `sent` is ignored. Once.
  void finish(const Trailer& report) noexcept;
  [[nodiscard]] bool finishing() const noexcept { return trailer_.has_value(); }
  [[nodiscard]] bool done() const noexcept { return trailer_sent_ == trailer_octets; }
  /// Octets of pattern sent so far.
  [[nodiscard]] std::uint64_t sent() const noexcept { return position_; }

 private:
  void encode_trailer_if_due() noexcept;

  const Pattern* pattern_ = nullptr;
  std::uint64_t start_ = 0;
  std::uint64_t position_ = 0;
  bool carries_ = false;
  std::optional<Trailer> trailer_;
  std::array<std::uint8_t, trailer_octets> encoded_{};
  std::size_t trailer_sent_ = 0;
};

class StreamChecker {
 public:
  StreamChecker() noexcept = default;
  StreamChecker(const Pattern& pattern, std::uint64_t start, Verify verify) noexcept
      : pattern_(&pattern), start_(start), verify_(verify) {}

  /// Octets as they came, in any pieces. Nothing is looked at behind the first wrong one.
  void take(ConstBytes octets) noexcept;

  /// Octets of pattern received and found right so far.
  [[nodiscard]] std::uint64_t received() const noexcept { return position_; }
  /// The first wrong position, counted from the stream's start. Of a trailer whose count is not what arrived: where the
  /// octets ended.
  [[nodiscard]] std::optional<std::uint64_t> wrong_at() const noexcept { return wrong_at_; }
  /// The trailer that came; the stream is over.
  [[nodiscard]] const std::optional<Trailer>& trailer() const noexcept { return trailer_; }

 private:
  [[nodiscard]] std::size_t take_head(ConstBytes octets) noexcept;
  [[nodiscard]] std::size_t take_pattern(ConstBytes octets) noexcept;
  void compare(ConstBytes octets) noexcept;

  const Pattern* pattern_ = nullptr;
  std::uint64_t start_ = 0;
  std::uint64_t position_ = 0;
  Verify verify_ = Verify::full;
  std::array<std::uint8_t, trailer_octets> head_{};  // of a chunk, until it is known to be no trailer
  std::size_t head_size_ = 0;
  std::optional<std::uint64_t> wrong_at_;
  std::optional<Trailer> trailer_;
};

}  // namespace stile::loadgen
