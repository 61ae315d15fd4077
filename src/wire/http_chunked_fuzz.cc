// A chunked body in two splits: the whole, and pieces whose sizes the first octet chooses. Both see the same payload
// and the same end, and no octet behind it is taken.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "wire/http_chunked.h"

namespace stile::wire {
namespace {

struct Seen {
  bool finished = false;
  bool broken = false;
  std::size_t octets = 0;
  std::string payload;

  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen scan(ConstBytes body, std::size_t piece_octets) {
  HttpChunkedScanner scanner;
  Seen seen;
  while (seen.octets < body.size()) {
    const ConstBytes rest = body.subspan(seen.octets);
    const auto run = scanner.next(rest.first(std::min(rest.size(), piece_octets)));
    STILE_ASSERT(run.octets <= rest.size());
    if (run.payload) seen.payload.append(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(run.octets));
    seen.octets += run.octets;
    if (scanner.finished() || scanner.broken()) break;
    STILE_ASSERT(run.octets > 0);
  }
  seen.finished = scanner.finished();
  seen.broken = scanner.broken();
  return seen;
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  if (size == 0) return 0;
  const stile::ConstBytes body(data + 1, size - 1);
  STILE_ASSERT(scan(body, size) == scan(body, std::size_t{1} + data[0] % 7));
  return 0;
}
