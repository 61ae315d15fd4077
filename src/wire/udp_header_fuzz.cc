// The datagram header's decoder on arbitrary octets: its verdict comes at one octet, whatever follows, and what a
// header says survives its encoder.
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/udp_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  // Longer than any header, and every prefix is tried.
  if (size > udp_header_octets_max + 16) return 0;
  const stile::ConstBytes input(data, size);
  assert_one_verdict<UdpHeader>(decode_udp_header, input);
  const auto result = decode_udp_header(input);
  const auto* parsed = std::get_if<Parsed<UdpHeader>>(&result);
  if (parsed == nullptr) return 0;
  const auto target = parsed->value.address.target();
  if (!target) return 0;
  const auto again = decode_udp_header(encode_udp_header(*target, parsed->value.fragment).octets());
  const auto* header = std::get_if<Parsed<UdpHeader>>(&again);
  STILE_ASSERT(header != nullptr);
  STILE_ASSERT(header->value.fragment == parsed->value.fragment);
  STILE_ASSERT(header->value.address.target() == target);
  return 0;
}
