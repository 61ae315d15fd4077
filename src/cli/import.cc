// stile import
#include <fmt/core.h>

#include <cstdio>

#include "base/limits.h"
#include "cli/run.h"
#include "config/dante.h"
#include "sys/errno_table.h"
#include "sys/file.h"

namespace stile::cli {

int run_import(const Arguments& arguments, const Environment&) {
  const std::string& path = arguments.operand;
  const auto text = sys::read_file(path, limits::configuration_octets_max);
  if (!text) {
    fmt::print(stderr, "stile: cannot read {}: {}\n", path, sys::describe(text.error()));
    return exit_failed;
  }
  const auto imported = config::import_dante(*text);
  if (!imported) {
    for (const config::ConfigError& error : imported.error()) {
      fmt::print(stderr, "{}\n", to_text(Fault{path, error.line, error.column, error.message}));
    }
    return exit_configuration;
  }
  for (const config::ConfigError& note : imported->notes) {
    fmt::print(stderr, "{}:{}: note: {}\n", path, note.line, note.message);
  }
  return print(Answer{imported->text});
}

}  // namespace stile::cli
