// The steps of every run; each lives in a file of its own under cli/.
#include <span>

#include "cli/options.h"
#include "cli/proxy_choice.h"
#include "cli/run.h"

int main(int argc, char** argv) {
  using namespace stile::cli;
  // 1. What was asked: a command with its flags, help, or a mistake with its correction.
  const Invocation invocation = parse_command_line({argv + 1, argv + argc});
  // 2. Passwords leave the list of processes, as far as that can be done.
  conceal_passwords(std::span(argv, static_cast<std::size_t>(argc)));
  // 3. Help, the version and mistakes are answered without touching anything else.
  if (invocation.answer) return print(*invocation.answer);
  // 4. The command.
  return run(invocation.arguments);
}
