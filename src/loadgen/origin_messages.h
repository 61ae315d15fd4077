// What a client of the load generator and its origin say to each other, beside the pattern.
//
//   preamble   client to origin, first of all (but for the handshake mode, which sends nothing):
//              magic 8 | kind 1 | streams 1 | verify 1 | zero 5 | start 8       start: of the pattern, big-endian
//   echo       every octet behind the preamble is sent back
//   bulk       each direction is a stream (stream.h): chunks of pattern where `streams` names it, then a trailer. The
//              client's trailer asks the origin for its own, which reports what arrived; then the client closes.
//   trailer    magic 8 | sent 8 | received 8 | wrong_at 8
//   datagram   magic 4 | slot 4 | serial 8 | pattern      sent back as it is; without the magic it is dropped, so that
//   an
//              origin cannot be made to answer anybody else
// Threading: values and pure functions. Tested in stream_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "loadgen/pattern.h"

namespace stile::loadgen {

enum class Kind : std::uint8_t { echo = 1, bulk = 2 };

/// Bits of `streams`.
inline constexpr std::uint8_t stream_up = 1;
inline constexpr std::uint8_t stream_down = 2;

struct Preamble {
  Kind kind = Kind::echo;
  std::uint8_t streams = 0;
  Verify verify = Verify::full;
  std::uint64_t start = 0;

  friend bool operator==(const Preamble&, const Preamble&) = default;
};
inline constexpr std::size_t preamble_octets = 24;

/// Ends a stream, and reports about the other one.
struct Trailer {
  static constexpr std::uint64_t nothing_wrong = UINT64_MAX;

  std::uint64_t sent = 0;                  // octets of pattern in this stream
  std::uint64_t received = 0;              // and in the other
  std::uint64_t wrong_at = nothing_wrong;  // the position of the first wrong octet of the other, counted from its start

  friend bool operator==(const Trailer&, const Trailer&) = default;
};
inline constexpr std::size_t trailer_octets = 32;

struct DatagramHead {
  std::uint32_t slot = 0;
  std::uint64_t serial = 0;

  friend bool operator==(const DatagramHead&, const DatagramHead&) = default;
};
inline constexpr std::size_t datagram_head_octets = 16;

[[nodiscard]] std::array<std::uint8_t, preamble_octets> encode(const Preamble& preamble) noexcept;
[[nodiscard]] std::array<std::uint8_t, trailer_octets> encode(const Trailer& trailer) noexcept;
[[nodiscard]] std::array<std::uint8_t, datagram_head_octets> encode(const DatagramHead& head) noexcept;

/// Absent where the octets are no such message.
[[nodiscard]] std::optional<Preamble> decode_preamble(std::span<const std::uint8_t, preamble_octets> octets) noexcept;
[[nodiscard]] std::optional<Trailer> decode_trailer(std::span<const std::uint8_t, trailer_octets> octets) noexcept;
/// `octets` of any length.
[[nodiscard]] std::optional<DatagramHead> decode_datagram_head(ConstBytes octets) noexcept;

}  // namespace stile::loadgen
