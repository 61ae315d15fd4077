// The standard streams. Tested by the command line's end-to-end tests.
#pragma once

namespace stile::sys {

inline constexpr int standard_input = 0;
inline constexpr int standard_output = 1;
inline constexpr int standard_error = 2;

[[nodiscard]] bool is_terminal(int descriptor) noexcept;

}  // namespace stile::sys
