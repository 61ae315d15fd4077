// The one translation of the operating system's error numbers into this product's errors.
// Refuses: to judge what an error means to a client; that is base/reason.h's table.
// Pure functions, any thread. Tested in errno_table_test.cc, which visits every number.
#pragma once

#include <string_view>

#include "base/error.h"

namespace stile::sys {

/// The largest errno that Linux defines; every number from 1 to it maps to exactly one kind.
inline constexpr int errno_max = 133;

[[nodiscard]] ErrorKind error_kind(int errno_value) noexcept;

[[nodiscard]] inline Error make_error(int errno_value) noexcept {
  return Error{error_kind(errno_value), errno_value};
}

/// For people, in the system's words: "Address already in use".
[[nodiscard]] std::string_view describe(const Error& error) noexcept;

}  // namespace stile::sys
