// Basic credentials from arbitrary octets: what is accepted is encoded to the same base64 again.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "wire/http_basic.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::wire;
  const std::string_view value(reinterpret_cast<const char*>(data), size);
  std::array<std::uint8_t, basic_octets_max> room{};
  const auto credentials = decode_basic(value, room);
  if (!credentials) return 0;
  STILE_ASSERT(credentials->user.size() <= 255 && credentials->password.size() <= 255);
  const std::string again = encode_basic(*credentials);
  STILE_ASSERT(value.ends_with(std::string_view(again).substr(6)));
  return 0;
}
