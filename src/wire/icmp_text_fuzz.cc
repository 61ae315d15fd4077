// Lines of PING and TRACEROUTE from a hostile server: the verdict comes at one octet, whatever follows, and a line that
// is accepted is exactly what the encoder would have written, without an octet that a terminal acts upon.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "base/assert.h"
#include "base/limits.h"
#include "wire/codec_fuzz_support.h"
#include "wire/icmp_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  using namespace stile::wire;
  if (size > limits::icmp_line_octets_max + 8) return 0;
  const ConstBytes input(data, size);
  assert_one_verdict<IcmpLine>(decode_icmp_line, input);
  const auto result = decode_icmp_line(input);
  const auto* parsed = std::get_if<Parsed<IcmpLine>>(&result);
  if (parsed == nullptr) return 0;
  const std::string again = encode_icmp_line(parsed->value);
  STILE_ASSERT(std::ranges::equal(again, input.first(parsed->consumed),
                                  [](char c, std::uint8_t octet) { return static_cast<std::uint8_t>(c) == octet; }));
  STILE_ASSERT(std::ranges::all_of(again.substr(0, again.size() - 2), [](char c) { return c >= ' ' && c <= '~'; }));
  return 0;
}
