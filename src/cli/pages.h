// What the command line's table looks like to people and shells: help, version, manual pages, completion scripts. Pure.
// Tested in cli_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "cli/options.h"

namespace stile::cli {

/// `stile --help` and `stile COMMAND --help`.
[[nodiscard]] std::string help_text();
[[nodiscard]] std::string help_text(const Command& command);

/// `stile --version`; the last line begins with "features:".
[[nodiscard]] std::string version_text();

/// man(7) source of stile(1) and of stile-COMMAND(1).
[[nodiscard]] std::string man_page();
[[nodiscard]] std::string man_page(const Command& command);

/// For "bash", "zsh" or "fish".
[[nodiscard]] std::string completion_script(std::string_view shell);

}  // namespace stile::cli
