#include "sys/random_octets.h"

#include <sys/random.h>

#include <cerrno>

#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {

Result<void> fill_randomly(MutableBytes octets) noexcept {
  while (!octets.empty()) {
    const auto filled = retry([&] { return ::getrandom(octets.data(), octets.size(), 0); });
    if (filled < 0) return std::unexpected(make_error(errno));
    octets = octets.subspan(static_cast<std::size_t>(filled));
  }
  return {};
}

}  // namespace stile::sys
