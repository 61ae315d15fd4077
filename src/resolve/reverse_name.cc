#include "resolve/reverse_name.h"

#include <ranges>
#include <string>
#include <string_view>

#include "base/assert.h"

namespace stile::resolve {

HostName reverse_name(const Address& address) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t octet : address.octets() | std::views::reverse) {
    if (address.is_v4()) {
      text += std::to_string(octet) + '.';
    } else {
      for (const int nibble : {octet & 0x0F, octet >> 4}) {
        text += digits[static_cast<std::size_t>(nibble)];
        text += '.';
      }
    }
  }
  text += address.is_v4() ? "in-addr.arpa" : "ip6.arpa";
  auto host = canonical_host(text);
  STILE_ASSERT(host && std::holds_alternative<HostName>(*host));
  return std::get<HostName>(*std::move(host));
}

}  // namespace stile::resolve
