// The RFC 1961 framing on arbitrary octets: its verdict comes at one octet, whatever follows, and a frame survives its
// encoder octet for octet.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/gssapi_frame.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  // Every prefix is tried.
  constexpr std::size_t octets_max = 1'200;
  if (size > octets_max) return 0;
  const stile::ConstBytes input(data, size);
  assert_one_verdict<GssFrame>(decode_gss_frame, input);
  const auto result = decode_gss_frame(input);
  const auto* parsed = std::get_if<Parsed<GssFrame>>(&result);
  const auto datagram = decode_gss_datagram(input);
  STILE_ASSERT(!datagram || (parsed != nullptr && parsed->consumed == size && !datagram->empty()));
  if (parsed == nullptr) return 0;
  if (parsed->value.message == GssMessage::abort) {
    STILE_ASSERT(std::ranges::equal(encode_gss_abort(), input.first(parsed->consumed)));
    return 0;
  }
  const auto header = encode_gss_header(parsed->value.message, parsed->value.token.size());
  STILE_ASSERT(std::ranges::equal(header, input.first(header.size())));
  STILE_ASSERT(parsed->value.token.data() == input.data() + header.size());
  STILE_ASSERT(parsed->consumed == header.size() + parsed->value.token.size());
  return 0;
}
