// Answers of arbitrary octets through one relay and several: what is taken is no longer than what came, says where DATA
// begins, and says so again; nothing is read behind the octets that were given.
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "wire/nested_headers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  const stile::ConstBytes input(data, size);
  const std::array relays{Target{.host = Address::v4(192, 0, 2, 1), .port = 1081},
                          Target{.host = *canonical_host("relay.example"), .port = 1082}};
  for (std::size_t count = 0; count <= relays.size(); ++count) {
    wire::NestedHeaders headers{std::span(relays).first(count)};
    const auto answer = headers.peel(input);
    if (!answer) continue;
    STILE_ASSERT(answer->consumed <= size && answer->from.port != 0);
    const auto again = headers.peel(input.first(answer->consumed));
    STILE_ASSERT(again && again->from == answer->from && again->consumed == answer->consumed);
  }
  return 0;
}
