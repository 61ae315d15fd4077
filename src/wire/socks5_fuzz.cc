// Every SOCKS5 decoder on arbitrary octets: its verdict comes at one octet, whatever follows, and what a request or
// reply says survives its encoder.
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/assert.h"
#include "wire/socks5.h"

namespace stile::wire {
namespace {

template <class T>
void check_prefixes(ParseResult<T> (*decode)(ConstBytes), ConstBytes input) {
  const ParseResult<T> whole = decode(input);
  std::size_t needed = input.size() + 1;
  if (const auto* parsed = std::get_if<Parsed<T>>(&whole)) needed = parsed->consumed;
  if (const auto* malformed = std::get_if<Malformed>(&whole)) needed = malformed->consumed;
  STILE_ASSERT(needed > 0);
  for (std::size_t size = 0; size <= input.size(); ++size) {
    const ParseResult<T> outcome = decode(input.first(size));
    if (size < needed) {
      STILE_ASSERT(std::holds_alternative<NeedMore>(outcome));
    } else {
      STILE_ASSERT(outcome == whole);
    }
  }
}

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

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  // Longer than any message, and every prefix is tried.
  constexpr std::size_t octets_max = 300;
  if (size > octets_max) return 0;
  const stile::ConstBytes input(data, size);
  check_prefixes<Greeting>([](stile::ConstBytes octets) { return decode_greeting(octets); }, input);
  check_prefixes<MethodChoice>([](stile::ConstBytes octets) { return decode_method_choice(octets); }, input);
  check_prefixes<Request>(decode_request, input);
  check_prefixes<Reply>(decode_reply, input);
  check_request_survives(input);
  check_reply_survives(input);
  return 0;
}
