// First octets on every kind of listener: the verdict comes at one octet, whatever follows, and nothing is taken for a
// protocol that is not admitted.
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/first_octets.h"

namespace stile::wire {
namespace {

bool may_be(FirstProtocol protocol, const Admitted& admitted) {
  const bool plain = !admitted.proxy_header && admitted.tls != TlsUse::required;
  switch (protocol) {
    case FirstProtocol::proxy_header:
      return admitted.proxy_header;
    case FirstProtocol::tls:
      return !admitted.proxy_header && admitted.tls != TlsUse::off;
    case FirstProtocol::socks4:
      return plain && admitted.socks4;
    case FirstProtocol::socks5:
      return plain && admitted.socks5;
    case FirstProtocol::http:
      return plain && admitted.http;
  }
  return false;
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  constexpr std::size_t octets_max = 32;
  if (size == 0 || size > octets_max) return 0;
  const unsigned flags = data[0];
  const Admitted admitted{.proxy_header = (flags & 1) != 0,
                          .tls = static_cast<TlsUse>((flags >> 1) % 3),
                          .socks4 = (flags & 8) != 0,
                          .socks5 = (flags & 16) != 0,
                          .http = (flags & 32) != 0};
  const stile::ConstBytes input(data + 1, size - 1);
  const auto decode = [&](stile::ConstBytes octets) { return decode_first_octets(octets, admitted); };
  assert_one_verdict<FirstProtocol>(decode, input);
  const auto result = decode(input);
  const auto* parsed = std::get_if<Parsed<FirstProtocol>>(&result);
  STILE_ASSERT(parsed == nullptr || may_be(parsed->value, admitted));
  return 0;
}
