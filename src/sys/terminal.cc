#include "sys/terminal.h"

#include <unistd.h>

namespace stile::sys {

bool is_terminal(int descriptor) noexcept {
  return ::isatty(descriptor) == 1;
}

}  // namespace stile::sys
