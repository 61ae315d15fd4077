// Bounded reading and writing of octets: the only place in the product where a parser's position moves. Big-endian, as
// every protocol here is. Pure; tested in bytes_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/assert.h"

namespace stile {

using ConstBytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

/// Reads a message front to back. Running off the end is sticky: every later read gives zero or an empty span, and
/// `short_of_input()` says so once, at the end of the parser. Never reads outside the span it was given.
class ByteReader {
 public:
  explicit constexpr ByteReader(ConstBytes bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] constexpr std::uint8_t u8() noexcept {
    const ConstBytes one = take(1);
    return one.empty() ? std::uint8_t{0} : one[0];
  }

  [[nodiscard]] constexpr std::uint16_t u16() noexcept {
    const ConstBytes two = take(2);
    return two.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>((two[0] << 8) | two[1]);
  }

  /// The next `count` octets, or an empty span (and the sticky error) when fewer are left.
  [[nodiscard]] constexpr ConstBytes take(std::size_t count) noexcept {
    if (short_ || count > bytes_.size() - position_) {
      short_ = true;
      return {};
    }
    const ConstBytes taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

  /// True once any read wanted more octets than there were.
  [[nodiscard]] constexpr bool short_of_input() const noexcept { return short_; }

  /// Octets read so far.
  [[nodiscard]] constexpr std::size_t consumed() const noexcept { return position_; }

  [[nodiscard]] constexpr ConstBytes rest() const noexcept { return bytes_.subspan(position_); }

 private:
  ConstBytes bytes_;
  std::size_t position_ = 0;
  bool short_ = false;
};

/// Writes a message front to back into a span the caller owns. Overflow is sticky like the reader's; an encoder whose
/// buffer is large enough by construction asserts `!overflowed()`.
class ByteWriter {
 public:
  explicit constexpr ByteWriter(MutableBytes bytes) noexcept : bytes_(bytes) {}

  constexpr void u8(std::uint8_t value) noexcept { append(ConstBytes(&value, 1)); }

  constexpr void u16(std::uint16_t value) noexcept {
    const std::uint8_t octets[2] = {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value & 0xFF)};
    append(octets);
  }

  constexpr void append(ConstBytes octets) noexcept {
    if (overflowed_ || octets.size() > bytes_.size() - position_) {
      overflowed_ = true;
      return;
    }
    for (const std::uint8_t octet : octets) bytes_[position_++] = octet;
  }

  [[nodiscard]] constexpr bool overflowed() const noexcept { return overflowed_; }

  /// What was written so far.
  [[nodiscard]] constexpr MutableBytes written() const noexcept { return bytes_.first(position_); }

 private:
  MutableBytes bytes_;
  std::size_t position_ = 0;
  bool overflowed_ = false;
};

}  // namespace stile
