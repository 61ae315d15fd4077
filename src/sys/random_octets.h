// Octets that nobody can guess: getrandom(2). Allocates nothing. Any thread. Tested in random_octets_test.cc.
#pragma once

#include "base/bytes.h"
#include "base/error.h"

namespace stile::sys {

[[nodiscard]] Result<void> fill_randomly(MutableBytes octets) noexcept;

}  // namespace stile::sys
