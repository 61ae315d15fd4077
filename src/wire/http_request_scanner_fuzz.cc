// The scanner on arbitrary octets, cut at every place that the input itself chooses: it sees the same requests however
// they are cut, and takes everything it is given.
#include "wire/http_request_scanner.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::wire {
namespace {

std::vector<HttpSighting> seen(ConstBytes input, std::size_t chunk) {
  HttpRequestScanner scanner;
  std::vector<HttpSighting> requests;
  while (!input.empty()) {
    ConstBytes rest = input.first(std::min(chunk, input.size()));
    input = input.subspan(rest.size());
    while (!rest.empty()) {
      const std::size_t before = rest.size();
      auto request = scanner.next(rest);
      STILE_ASSERT(rest.size() < before || scanner.over());
      if (request) requests.push_back(std::move(*request));
    }
  }
  return requests;
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  using namespace stile::wire;
  if (size < 1 || size > 32 * limits::KiB) return 0;
  const ConstBytes input(data + 1, size - 1);
  const auto whole = seen(input, input.size());
  STILE_ASSERT(whole == seen(input, 1U + data[0]));
  STILE_ASSERT(whole == seen(input, 1));
  for (const HttpSighting& request : whole) {
    STILE_ASSERT(!request.method.empty());
    STILE_ASSERT(describe(request, true).size() <= limits::record_url_octets_max);
    STILE_ASSERT(describe(request, false).find('?') == std::string::npos ||
                 request.host.find('?') != std::string::npos || request.method == "CONNECT");
  }
  return 0;
}
