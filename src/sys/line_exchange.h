// One line asked, one line answered, over a Unix-domain socket: for the few words that an operator has for a running
// server. Blocking. Serving: one thread, many clients, none of which can keep another waiting but by what `answer`
// takes. Tested in line_exchange_test.cc.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"
#include "sys/unique_fd.h"

namespace stile::sys {

struct LineLimits {
  std::size_t clients_max = 32;  // further ones wait in the kernel's queue
  std::size_t octets_max = 64 * 1024;
  Duration wait = std::chrono::seconds(5);  // for the whole request, and for the answer to be taken
};

/// Serves until `stop` (a descriptor) is readable. A client's line, without its end, goes to `answer`; what that says,
/// and a line end, goes back, and the connection is closed. Who sends more than it may, or nothing in time, is closed
/// without a word.
void serve_lines(const UniqueFd& listening, int stop, const LineLimits& limits,
                 const std::function<std::string(std::string_view)>& answer);

/// Connects to the socket at `path`, asks, and waits for the answer as long as it takes.
[[nodiscard]] Result<std::string> ask_line(const std::string& path, std::string_view line);

}  // namespace stile::sys
