// What the commands that go through a proxy have in common. Tested by cli_test.cc and tests/e2e.
#pragma once

#include <expected>
#include <string>

#include "base/address.h"
#include "cli/options.h"
#include "session/proxy_failure.h"

namespace stile::cli {

/// Prints a whole message on standard error, and gives the exit code back.
int complain(const std::string& message, int exit_code);

/// "why (what to do)".
[[nodiscard]] std::string with_cure(const session::Advice& advice);

/// The operand HOST. The error is a whole message.
[[nodiscard]] std::expected<Host, std::string> host_operand(const Arguments& arguments);

}  // namespace stile::cli
