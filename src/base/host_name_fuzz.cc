// The canonicaliser on arbitrary octets: the text of what it accepts canonicalises to itself, and is made of nothing
// but the octets that a canonical host may hold.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/assert.h"
#include "base/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  const std::string input(data, data + size);
  const auto host = canonical_host(input);
  if (!host) return 0;
  const std::string text = to_string(*host);
  const auto again = canonical_host(text);
  STILE_ASSERT(again.has_value());
  STILE_ASSERT(*again == *host);
  STILE_ASSERT(to_string(*again) == text);
  if (const auto* host_name = std::get_if<HostName>(&*host)) {
    STILE_ASSERT(!text.empty() && text.size() <= limits::name_octets_max);
    STILE_ASSERT(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") == std::string::npos);
    STILE_ASSERT(!Address::parse(text).has_value());
    STILE_ASSERT(host_name->is_or_below(text));
  } else {
    STILE_ASSERT(Address::parse(text) == std::get<Address>(*host));
  }
  return 0;
}
