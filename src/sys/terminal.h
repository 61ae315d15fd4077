// The standard streams, and a password from one of them: shown nowhere, wiped by its owner. Blocking; the main thread
// of a command. Tested in terminal_test.cc, on a pseudo-terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

#include "base/secret.h"

namespace stile::sys {

inline constexpr int standard_input = 0;
inline constexpr int standard_output = 1;
inline constexpr int standard_error = 2;

[[nodiscard]] bool is_terminal(int descriptor) noexcept;

/// Why there is no line.
enum class NoLine : std::uint8_t {
  ended,        // the stream's end comes before it
  interrupted,  // Ctrl-C or Ctrl-D at the terminal
  too_long,
  failed,
};

/// The next line of a stream, of at most `octets_max` octets without its end. Nothing behind it is read. The last line
/// needs no end.
[[nodiscard]] std::expected<Secret, NoLine> read_secret_line(int descriptor, std::size_t octets_max);

/// Writes `prompt` to the terminal and reads a line from it without showing it: backspace takes an octet back, Ctrl-U
/// the line. The terminal is as before when it returns.
[[nodiscard]] std::expected<Secret, NoLine> ask_secret(int terminal, std::string_view prompt, std::size_t octets_max);

}  // namespace stile::sys
