// Both directions of the control socket: whatever comes is refused or understood, and what is understood is said again
// in the same way.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "admin/control_message.h"

namespace {

template <class Done>
void check(std::string_view line) {
  using namespace stile::admin;
  const auto answer = parse_answer<Done>(line);
  if (!answer) return;
  const std::string again = to_line(*answer);
  const auto read = parse_answer<Done>(again);
  if (!read || to_line(*read) != again) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  static_cast<void>(stile::admin::parse_request(line));
  check<stile::server::Reloaded>(line);
  check<stile::server::UpstreamReport>(line);
  check<stile::server::CounterReport>(line);
  return 0;
}
