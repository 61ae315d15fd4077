// The ClientHello's decoder on arbitrary octets: its verdict comes at one octet, whatever follows, and what it reads
// lies within the limits.
#include "wire/tls_client_hello.h"

#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  using namespace stile::wire;
  if (size > 2 * limits::tls_hello_octets_max) return 0;
  const ConstBytes input(data, size);
  // Every prefix is tried: of long inputs the first octets only.
  constexpr std::size_t prefixes_max = 400;
  assert_one_verdict<TlsClientHello>(decode_tls_client_hello, input.first(size < prefixes_max ? size : prefixes_max));
  const auto result = decode_tls_client_hello(input);
  const auto* parsed = std::get_if<Parsed<TlsClientHello>>(&result);
  if (parsed == nullptr) return 0;
  STILE_ASSERT(parsed->consumed <= size);
  std::size_t octets = parsed->value.server_name.size();
  for (const std::string& protocol : parsed->value.protocols) {
    STILE_ASSERT(!protocol.empty());
    octets += protocol.size();
  }
  STILE_ASSERT(octets < limits::tls_hello_octets_max);
  return 0;
}
