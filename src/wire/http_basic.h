// The Basic scheme, RFC 7617, as Proxy-Authorization carries it: decoder and encoder.
//
//   value  "Basic" SP base64( user ":" password )
//
// Refuses: base64 without its padding or with octets between, no colon, more than RFC 1929 could carry. Whether the
// user exists is not asked here. Threading: pure functions.
// Tested in http_basic_test.cc against a naive oracle; fuzzed in http_basic_fuzz.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/userpass.h"

namespace stile::wire {

/// A user and a password of 255 octets each, and the colon.
inline constexpr std::size_t basic_octets_max = 255 + 1 + 255;

/// Decodes into `room`, at least basic_octets_max octets (asserted), whose owner wipes it; the result points there.
/// Absent for another scheme and for anything malformed.
[[nodiscard]] std::optional<Credentials> decode_basic(std::string_view value, MutableBytes room) noexcept;

/// For an upstream proxy. The user holds no colon, neither field more than 255 octets (asserted). The caller wipes it.
[[nodiscard]] std::string encode_basic(const Credentials& credentials);

}  // namespace stile::wire
