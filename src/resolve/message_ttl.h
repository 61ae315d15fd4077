// How long a DNS answer without addresses may be believed: RFC 2308 section 5. c-ares reads positive answers only, so
// the one figure is taken from the message here.
// Pure; takes any octets. Tested in negative_ttl_test.cc, fuzzed in negative_ttl_fuzz.cc.
#pragma once

#include <chrono>

#include "base/bytes.h"

namespace stile::resolve {

/// The smaller of the TTL and the MINIMUM field of the first SOA record in the authority section of `message` (a DNS
/// message, RFC 1035 section 4.1); 0 s where there is none or the message is cut short: such an answer is not to be
/// cached (RFC 2308 section 5).
[[nodiscard]] std::chrono::seconds negative_ttl(ConstBytes message) noexcept;

}  // namespace stile::resolve
