// Any octets are read without a step beyond them, and no figure is negative.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "base/limits.h"
#include "resolve/dns_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stile::ConstBytes message(data, size);
  const auto bounded = [](std::chrono::seconds ttl) { return ttl.count() >= 0 && ttl.count() <= INT32_MAX; };
  STILE_ASSERT(bounded(stile::resolve::negative_ttl(message)));
  if (const auto records = stile::resolve::pointer_records(message)) {
    STILE_ASSERT(bounded(records->ttl));
    STILE_ASSERT(records->names.size() <= stile::limits::candidates_max);
    for (const auto& name : records->names) {
      STILE_ASSERT(!name.empty() && name.data() >= data && name.data() + name.size() <= data + size);
    }
  }
  return 0;
}
