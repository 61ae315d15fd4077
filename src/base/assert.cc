#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace stile {

void assertion_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "stile: internal error: %s does not hold at %s:%d (please report this)\n", condition, file,
               line);
  std::abort();
}

}  // namespace stile
