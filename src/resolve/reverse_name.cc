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

namespace {

/// The label before the last dot of `text`, which loses it; empty where there is none.
std::string_view take_last_label(std::string_view& text) noexcept {
  const std::size_t dot = text.rfind('.');
  const std::string_view label = dot == std::string_view::npos ? text : text.substr(dot + 1);
  text = text.substr(0, dot == std::string_view::npos ? 0 : dot);
  return label;
}

}  // namespace

std::optional<Address> address_of_reverse_name(const HostName& name) {
  std::string_view rest = name.text();
  if (take_last_label(rest) != "arpa") return std::nullopt;
  const std::string_view tree = take_last_label(rest);
  if (tree != "in-addr" && tree != "ip6") return std::nullopt;
  std::string address;
  const bool v4 = tree == "in-addr";
  for (int label = 0; label < (v4 ? 4 : 32); ++label) {
    if (label > 0 && (v4 || label % 4 == 0)) address += v4 ? '.' : ':';
    const std::string_view digits = take_last_label(rest);
    if (digits.empty() || (!v4 && digits.size() != 1)) return std::nullopt;
    address += digits;
  }
  if (!rest.empty()) return std::nullopt;
  const auto parsed = Address::parse(address);
  return parsed && parsed->is_v4() == v4 ? parsed : std::nullopt;
}

}  // namespace stile::resolve
