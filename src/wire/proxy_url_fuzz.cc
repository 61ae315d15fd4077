// Proxy addresses from arbitrary octets: what is taken keeps its bounds and reads back from its own text; what is
// refused is located inside the input, and tells nothing that does not belong on a terminal.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "wire/proxy_url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  const std::string text(data, data + size);
  auto url = wire::parse_proxy_url(text);
  if (!url) {
    const wire::ProxyUrlError& error = url.error();
    STILE_ASSERT(error.column >= 1 && error.column <= size + 1);
    STILE_ASSERT(!error.why.empty() && !error.cure.empty());
    for (const char c : error.why + error.cure) STILE_ASSERT(c >= 0x20 && c < 0x7f);
    return 0;
  }
  STILE_ASSERT(url->server.port != 0);
  STILE_ASSERT(!url->user || (!url->user->empty() && url->user->size() <= 255));
  STILE_ASSERT(!url->password || (url->user && !url->password->empty() && url->password->size() <= 255));
  url->user.reset();
  url->password.reset();
  const auto again = wire::parse_proxy_url(url->to_string());
  STILE_ASSERT(again.has_value());
  STILE_ASSERT(*again == *url);
  return 0;
}
