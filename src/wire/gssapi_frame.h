// The framing of GSSAPI inside SOCKS5, RFC 1961 sections 3 to 5; what the tokens hold is the mechanism's.
//
//   both   VER 01 | MTYP 1 | LEN 2 | TOKEN 0..65535     MTYP 01: context, 02: protection level, 03: wrapped data
//   abort  VER 01 | MTYP FF                             two octets, no length
//
// Refuses: order and contents. A level before the context, an empty context token (which says "complete") and a level
// that nobody grants are values here. Tokens are never copied: they point into the caller's input.
// Threading: values and pure functions. Tested in gssapi_frame_test.cc against tests/vectors/gssapi.txt and a naive
// oracle; fuzzed in gssapi_frame_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/parse.h"

namespace stile::wire {

inline constexpr std::uint8_t gss_version = 0x01;
inline constexpr std::size_t gss_header_octets = 4;

enum class GssMessage : std::uint8_t { context = 0x01, level = 0x02, data = 0x03, abort = 0xFF };

struct GssFrame {
  GssMessage message = GssMessage::abort;
  ConstBytes token;  // points into the input and lives as long as that does

  /// The NEC dialect sends the level as one bare octet; no mechanism wraps it into so little.
  [[nodiscard]] bool is_bare_level() const noexcept { return message == GssMessage::level && token.size() == 1; }

  friend bool operator==(const GssFrame& left, const GssFrame& right) noexcept;
};

/// Malformed: gss_version after 1 octet, gss_order after 2 for an unknown MTYP, gss_token after 4 for an empty level or
/// data token.
[[nodiscard]] ParseResult<GssFrame> decode_gss_frame(ConstBytes input) noexcept;

/// The token of a datagram that is exactly one data frame; absent for everything else, which is to be dropped.
[[nodiscard]] std::optional<ConstBytes> decode_gss_datagram(ConstBytes datagram) noexcept;

/// What stands before a token of `octets` octets, at most 65,535 (asserted). Not for abort (asserted).
[[nodiscard]] std::array<std::uint8_t, gss_header_octets> encode_gss_header(GssMessage message,
                                                                            std::size_t octets) noexcept;

[[nodiscard]] std::array<std::uint8_t, 2> encode_gss_abort() noexcept;

}  // namespace stile::wire
