// The records between server and helper on arbitrary octets: their verdict comes at one octet, whatever follows, and
// what is accepted survives its encoder octet for octet.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "wire/codec_fuzz_support.h"
#include "wire/helper_record.h"

namespace stile::wire {
namespace {

template <class Record, class Decode, class Encode>
void check(ConstBytes input, Decode decode, Encode encode) {
  // Quadratic: the longest inputs are only decoded.
  if (input.size() < 4096) assert_one_verdict<Record>(decode, input);
  const auto result = decode(input);
  const auto* const parsed = std::get_if<Parsed<Record>>(&result);
  if (parsed == nullptr) return;
  std::vector<std::uint8_t> room(limits::helper_record_octets_max);
  ByteWriter writer(room);
  encode(writer, parsed->value);
  STILE_ASSERT(std::ranges::equal(writer.written(), input.first(parsed->consumed)));
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  const stile::ConstBytes input(data, size);
  check<HelperLogin>(input, decode_helper_login, encode_helper_login);
  check<HelperVerdict>(input, decode_helper_verdict, encode_helper_verdict);
  check<HelperNotice>(input, decode_helper_notice, encode_helper_notice);
  check<HelperToken>(input, decode_helper_token, encode_helper_token);
  check<HelperProgress>(input, decode_helper_progress, encode_helper_progress);
  return 0;
}
