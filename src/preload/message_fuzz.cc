// Both directions of a carrier's link: whatever comes is refused or understood, and what is understood is said again in
// the same octets, but for IPv4 addresses that came as IPv6 ones.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "preload/message.h"

namespace {

using namespace stile::preload;

template <class Message>
void check(const Message& message, stile::ConstBytes record, auto decode) {
  MessageRoom room;
  const stile::ConstBytes again = encode(message, room);
  if (again.size() > record.size()) std::abort();
  const auto heard = decode(again);
  if (!heard) std::abort();
  MessageRoom other;
  if (!std::ranges::equal(encode(*heard, other), again)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stile::ConstBytes record(data, size);
  if (const auto question = decode_question(record)) check(*question, record, decode_question);
  if (const auto answer = decode_answer(record)) check(*answer, record, decode_answer);
  static_cast<void>(parse_keys({reinterpret_cast<const char*>(data), size}));
  return 0;
}
