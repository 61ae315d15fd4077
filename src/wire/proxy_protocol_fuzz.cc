// The PROXY header's decoder on arbitrary octets: its verdict comes at one octet, whatever follows, within the limits,
// and a connection survives both encoders.
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/proxy_protocol.h"

namespace stile::wire {
namespace {

void check_connection_survives(const ProxiedConnection& connection) {
  const auto text = encode_proxy_v1(connection);
  const auto binary = encode_proxy_v2(connection);
  for (const ConstBytes octets : {text.octets(), binary.octets()}) {
    const auto again = decode_proxy_header(octets);
    const auto* header = std::get_if<Parsed<ProxyHeader>>(&again);
    STILE_ASSERT(header != nullptr && header->consumed == octets.size());
    STILE_ASSERT(header->value.connection == connection);
  }
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  using namespace stile::wire;
  if (size > limits::proxy_header_v2_octets_max + 16) return 0;
  const ConstBytes input(data, size);
  // Every prefix is tried: of long inputs the first octets only.
  constexpr std::size_t prefixes_max = 400;
  assert_one_verdict<ProxyHeader>(decode_proxy_header, input.first(size < prefixes_max ? size : prefixes_max));
  const auto result = decode_proxy_header(input);
  const auto* parsed = std::get_if<Parsed<ProxyHeader>>(&result);
  if (parsed == nullptr) return 0;
  const ProxyHeader& header = parsed->value;
  STILE_ASSERT(header.version == 1 || header.version == 2);
  STILE_ASSERT(parsed->consumed <=
               (header.version == 1 ? limits::proxy_header_v1_octets_max : limits::proxy_header_v2_octets_max));
  STILE_ASSERT(header.unique_id.size() <= limits::proxy_unique_id_octets_max);
  STILE_ASSERT(!header.local || !header.connection);
  if (header.connection) check_connection_survives(*header.connection);
  return 0;
}
