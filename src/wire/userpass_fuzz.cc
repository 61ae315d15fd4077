// The RFC 1929 decoders on arbitrary octets: their verdict comes at one octet, whatever follows, and credentials
// survive their encoder octet for octet.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/userpass.h"

namespace stile::wire {
namespace {

void check_credentials_survive(ConstBytes input) {
  const auto result = decode_credentials(input);
  const auto* parsed = std::get_if<Parsed<Credentials>>(&result);
  if (parsed == nullptr) return;
  std::array<std::uint8_t, credentials_octets_max> room{};
  ByteWriter writer(room);
  encode_credentials(writer, parsed->value);
  STILE_ASSERT(!writer.overflowed());
  STILE_ASSERT(std::ranges::equal(writer.written(), input.first(parsed->consumed)));
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  // Longer than any message, and every prefix is tried.
  if (size > credentials_octets_max + 16) return 0;
  const stile::ConstBytes input(data, size);
  assert_one_verdict<Credentials>(decode_credentials, input);
  assert_one_verdict<CredentialsAnswer>(decode_credentials_answer, input);
  check_credentials_survive(input);
  return 0;
}
