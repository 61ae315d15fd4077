// The octets of one encoded message, in place: encoders return it by value and allocate nothing. Capacity is the
// longest that the message can be, so an encoder never runs out of room (asserted).
// Threading: a value. Tested through every codec's round trip.
#pragma once

#include <array>
#include <cstddef>

#include "base/assert.h"
#include "base/bytes.h"

namespace stile::wire {

template <std::size_t Capacity>
class WireBuffer {
 public:
  /// `fill(ByteWriter&)` writes the message.
  template <class Fill>
  explicit constexpr WireBuffer(Fill fill) noexcept {
    ByteWriter writer(storage_);
    fill(writer);
    STILE_ASSERT(!writer.overflowed());
    size_ = writer.written().size();
  }

  /// Valid as long as this object.
  [[nodiscard]] constexpr ConstBytes octets() const noexcept { return ConstBytes(storage_).first(size_); }

 private:
  std::array<std::uint8_t, Capacity> storage_{};
  std::size_t size_ = 0;
};

}  // namespace stile::wire
