// Forwards from arbitrary octets: what is taken keeps its bounds and reads back from its own text; what is refused says
// why in words that belong on a terminal.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "forward/forward_spec.h"

namespace {

using namespace stile;

void judge(const forward::SpecError& error) {
  STILE_ASSERT(!error.why.empty() && !error.cure.empty());
  for (const char c : error.why + error.cure) STILE_ASSERT(c >= 0x20 && c < 0x7f);
}

void judge(const forward::Forward& forward) {
  STILE_ASSERT(forward.target.port != 0);
  STILE_ASSERT(forward.at.empty() != forward.path.empty());
  STILE_ASSERT(forward.at.size() <= 2 && forward.path.size() <= 107);
  STILE_ASSERT(!forward.datagrams || forward.path.empty());
  const std::string place = forward.at.size() == 2 ? std::to_string(forward.at[1].port) : forward.place();
  const std::string kind = forward.datagrams ? "/udp" : "";
  const auto again = forward::parse_forward(place + kind + "=" + forward.target.to_string());
  STILE_ASSERT(again.has_value());
  const bool chosen = forward.at.size() == 1 && forward.at[0].port == 0;
  STILE_ASSERT(*again == forward || chosen);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const auto parsed = forward::parse_forward(text);
  parsed ? judge(*parsed) : judge(parsed.error());
  const auto reverse = forward::parse_reverse(text);
  if (!reverse) {
    judge(reverse.error());
    return 0;
  }
  STILE_ASSERT(reverse->target.port != 0);
  const auto again = forward::parse_reverse(std::to_string(reverse->port) + "=" + reverse->target.to_string());
  STILE_ASSERT(again.has_value() && *again == *reverse);
  return 0;
}
