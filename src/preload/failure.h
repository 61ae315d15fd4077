// What a program's connect fails with where a proxy refuses, or cannot be reached: the errno that the same failure
// would have given without a proxy, as far as there is one. Pure; tested in failure_test.cc, for every reason.
#pragma once

#include "base/reason.h"

namespace stile::preload {

/// 0 for Reason::none.
[[nodiscard]] int errno_of(Reason reason) noexcept;

}  // namespace stile::preload
