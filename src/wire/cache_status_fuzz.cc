// Cache-Status from arbitrary octets: caches further away, and lines before the last one, change nothing.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "wire/cache_status.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  const std::string value(reinterpret_cast<const char*>(data), size);
  const auto outcome = decode_cache_status(value);
  STILE_ASSERT(cache_outcome({{"Cache-Status", "\"broken"}, {"CACHE-STATUS", value.empty() ? " " : value}}) == outcome);
  if (!outcome) return 0;
  STILE_ASSERT(!name(*outcome).empty());
  STILE_ASSERT(decode_cache_status("far; hit=?0, \"an, \\\"other\";fwd=miss\t,  " +
                                   value.substr(value.find_first_not_of(' '))) == outcome);
  STILE_ASSERT(decode_cache_status(value + ", near") == std::nullopt);
  STILE_ASSERT(decode_cache_status(value + ", near;hit") == CacheOutcome::hit);
  return 0;
}
