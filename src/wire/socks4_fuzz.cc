// The SOCKS4 decoders on arbitrary octets: their verdict comes at one octet, whatever follows, and what a request or
// reply says survives its encoder.
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/socks4.h"

namespace stile::wire {
namespace {

void check_request_survives(ConstBytes input) {
  const auto result = decode_socks4_request(input);
  const auto* parsed = std::get_if<Parsed<Socks4Request>>(&result);
  if (parsed == nullptr) return;
  const Socks4Request& request = parsed->value;
  const auto target = request.destination.target();
  if (!target) return;
  const auto again = decode_socks4_request(encode_socks4_request(request.command, *target, request.user).octets());
  const auto* second = std::get_if<Parsed<Socks4Request>>(&again);
  STILE_ASSERT(second != nullptr);
  STILE_ASSERT(second->value.command == request.command);
  STILE_ASSERT(second->value.user == request.user);
  STILE_ASSERT(second->value.destination.target() == target);
}

void check_reply_survives(ConstBytes input) {
  const auto result = decode_socks4_reply(input);
  const auto* parsed = std::get_if<Parsed<Socks4Reply>>(&result);
  if (parsed == nullptr) return;
  const auto again = decode_socks4_reply(encode_socks4_reply(parsed->value.code, parsed->value.bound));
  STILE_ASSERT(again == result);
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  // Longer than any message, and every prefix is tried.
  if (size > socks4_request_octets_max + 16) return 0;
  const stile::ConstBytes input(data, size);
  assert_one_verdict<Socks4Request>(decode_socks4_request, input);
  assert_one_verdict<Socks4Reply>(decode_socks4_reply, input);
  check_request_survives(input);
  check_reply_survives(input);
  return 0;
}
