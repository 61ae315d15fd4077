// Every SOCKS5 decoder on arbitrary octets: its verdict comes at one octet, whatever follows, and what a request or
// reply says survives its encoder.
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/socks5.h"

namespace stile::wire {
namespace {

void check_request_survives(ConstBytes input) {
  const auto result = decode_request(input);
  const auto* parsed = std::get_if<Parsed<Request>>(&result);
  if (parsed == nullptr) return;
  const auto target = parsed->value.destination.target();
  if (!target) return;
  const auto again = decode_request(encode_request(parsed->value.command, *target, parsed->value.reserved).octets());
  const auto* request = std::get_if<Parsed<Request>>(&again);
  STILE_ASSERT(request != nullptr);
  STILE_ASSERT(request->value.command == parsed->value.command);
  STILE_ASSERT(request->value.destination.target() == target);
}

void check_reply_survives(ConstBytes input) {
  const auto result = decode_reply(input);
  const auto* parsed = std::get_if<Parsed<Reply>>(&result);
  if (parsed == nullptr) return;
  const auto bound = parsed->value.bound.target();
  if (!bound) return;
  const auto again = decode_reply(encode_reply(parsed->value.code, *bound).octets());
  const auto* reply = std::get_if<Parsed<Reply>>(&again);
  STILE_ASSERT(reply != nullptr);
  STILE_ASSERT(reply->value.code == parsed->value.code);
  STILE_ASSERT(reply->value.bound.target() == bound);
}

/// Reading what the codec says is missing leads to its verdict and no octet further.
void check_reply_is_read_exactly(ConstBytes input) {
  const auto verdict = decode_reply(input);
  std::size_t held = 0;
  while (const std::size_t missing = reply_octets_missing(input.first(held))) {
    if (missing > input.size() - held) {
      STILE_ASSERT(!std::holds_alternative<Parsed<Reply>>(verdict));
      return;
    }
    held += missing;
  }
  STILE_ASSERT(decode_reply(input.first(held)) == verdict);
  if (const auto* parsed = std::get_if<Parsed<Reply>>(&verdict)) STILE_ASSERT(parsed->consumed == held);
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  // Longer than any message, and every prefix is tried.
  constexpr std::size_t octets_max = 300;
  if (size > octets_max) return 0;
  const stile::ConstBytes input(data, size);
  assert_one_verdict<Greeting>(decode_greeting, input);
  assert_one_verdict<MethodChoice>(decode_method_choice, input);
  assert_one_verdict<Request>(decode_request, input);
  assert_one_verdict<Reply>(decode_reply, input);
  check_request_survives(input);
  check_reply_survives(input);
  check_reply_is_read_exactly(input);
  return 0;
}
