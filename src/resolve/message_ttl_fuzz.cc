// Any octets are read without a step beyond them, and the figure is never negative.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "resolve/negative_ttl.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ttl = stile::resolve::negative_ttl(stile::ConstBytes(data, size));
  STILE_ASSERT(ttl.count() >= 0 && ttl.count() <= INT32_MAX);
  return 0;
}
