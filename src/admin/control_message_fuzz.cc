// Both directions of the control socket: whatever comes is refused or understood, and what is understood is said again
// in the same way.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "admin/control_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile::admin;
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  static_cast<void>(parse_request(line));
  if (const auto answer = parse_answer(line)) {
    const std::string again = to_line(*answer);
    const auto read = parse_answer(again);
    if (!read || to_line(*read) != again) std::abort();
  }
  return 0;
}
