#include "wire/first_octets.h"

#include <algorithm>

#include "wire/proxy_protocol.h"
#include "wire/socks4.h"
#include "wire/socks5.h"

namespace stile::wire {
namespace {

using Outcome = ParseResult<FirstProtocol>;

constexpr std::uint8_t tls_handshake = 0x16;  // RFC 8446 section 5.1: ContentType handshake, then a version 03 xx
constexpr std::uint8_t tls_major = 0x03;
constexpr std::uint8_t tls_minor_max = 0x04;

Outcome refuse(Reason reason, std::size_t octets) {
  return Malformed{.reason = reason, .consumed = octets};
}

Outcome take(FirstProtocol protocol, bool admitted, std::size_t octets) {
  if (!admitted) return refuse(Reason::protocol_off, octets);
  return Parsed<FirstProtocol>{.value = protocol, .consumed = octets};
}

/// How many octets of `input` are those of `signature`.
std::size_t common_octets(ConstBytes input, ConstBytes signature) noexcept {
  return static_cast<std::size_t>(std::ranges::mismatch(input, signature).in1 - input.begin());
}

Outcome expect_proxy_header(ConstBytes input) {
  const ConstBytes signature =
      input[0] == proxy_v1_signature[0] ? ConstBytes(proxy_v1_signature) : ConstBytes(proxy_v2_signature);
  const std::size_t same = common_octets(input, signature);
  if (same == signature.size()) return take(FirstProtocol::proxy_header, true, same);
  if (same == input.size()) return NeedMore{};
  return refuse(Reason::proxy_missing, same + 1);
}

Outcome expect_tls(ConstBytes input, TlsUse tls) {
  if (input.size() < 2) return NeedMore{};
  if (input[1] != tls_major) return refuse(Reason::protocol_unknown, 2);
  if (input.size() < 3) return NeedMore{};
  if (input[2] > tls_minor_max) return refuse(Reason::protocol_unknown, 3);
  return take(FirstProtocol::tls, tls != TlsUse::off, 3);
}

}  // namespace

ParseResult<FirstProtocol> decode_first_octets(ConstBytes input, const Admitted& admitted) noexcept {
  if (input.empty()) return NeedMore{};
  if (admitted.proxy_header) return expect_proxy_header(input);
  const std::uint8_t first = input[0];
  if (first == tls_handshake) return expect_tls(input, admitted.tls);
  const bool http = first >= 'A' && first <= 'Z';
  const bool known = http || first == socks4_version || first == socks5_version;
  if (known && admitted.tls == TlsUse::required) return refuse(Reason::tls_missing, 1);
  if (first == socks4_version) return take(FirstProtocol::socks4, admitted.socks4, 1);
  if (first == socks5_version) return take(FirstProtocol::socks5, admitted.socks5, 1);
  if (http) return take(FirstProtocol::http, admitted.http, 1);
  return refuse(Reason::protocol_unknown, 1);
}

}  // namespace stile::wire
