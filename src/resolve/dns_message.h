// What c-ares does not tell about a DNS message: how long a denial may be believed (RFC 2308 section 5), and which
// names an address has, and for how long, where these are not all names of hosts. RFC 1035 section 4.1. Refuses: to
// follow compression pointers; names are skipped or handed over as they stand. Pure; takes any octets. Tested in
// dns_message_test.cc, fuzzed in dns_message_fuzz.cc.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace stile::resolve {

/// The smaller of the TTL and the MINIMUM field of the first SOA record in the authority section of `message` (a DNS
/// message, RFC 1035 section 4.1); 0 s where there is none or the message is cut short: such an answer is not to be
/// cached (RFC 2308 section 5).
[[nodiscard]] std::chrono::seconds negative_ttl(ConstBytes message) noexcept;

/// The PTR records of an answer section.
struct PointerRecords {
  std::vector<ConstBytes> names;  // into the message, where an encoded, perhaps compressed name begins
  std::chrono::seconds ttl{0};    // the smallest in the section, aliases (RFC 2317) included; 0 s without records
};

/// At most limits::candidates_max names; nothing where the message is cut short.
[[nodiscard]] std::optional<PointerRecords> pointer_records(ConstBytes message);

}  // namespace stile::resolve
