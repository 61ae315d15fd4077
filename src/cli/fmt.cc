// stile fmt
#include <fmt/core.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

#include "base/limits.h"
#include "cli/run.h"
#include "config/format.h"
#include "policy/words.h"
#include "sys/errno_table.h"
#include "sys/replace_file.h"
#include "sys/trusted_file.h"

namespace stile::cli {
namespace {

int complain(const std::string& message, int exit_code) {
  fmt::print(stderr, "stile: {}\n", message);
  return exit_code;
}

// The operand, the flag or the environment.
std::string file_to_format(const Arguments& arguments, const Environment& environment) {
  if (!arguments.operand.empty()) return arguments.operand;
  if (const auto given = arguments.value("--config")) return *given;
  return environment("STILE_CONFIG").value_or("");
}

// A server must go on reading it: nobody gets a right to it that was not there.
int replace(const std::string& path, const std::string& content) {
  constexpr mode_t as_it_is = 07777;
  std::error_code error;
  const std::string file = std::filesystem::canonical(path, error).string();  // a link stays one
  if (const auto replaced = sys::replace_file(file, content, as_it_is); !replaced) {
    return complain(fmt::format("cannot write {}: {}", path, sys::describe(replaced.error())), exit_failed);
  }
  return exit_done;
}

}  // namespace

int run_fmt(const Arguments& arguments, const Environment& environment) {
  const std::string path = file_to_format(arguments, environment);
  if (path.empty()) return complain("cannot format: no file is given (name one, or use --config)", exit_usage);
  const auto lock = sys::FolderLock::of_file(path);
  const auto text = sys::read_trusted_file(path, limits::configuration_octets_max);
  if (!text) {
    const std::string cure = text.error().cure.empty() ? "" : fmt::format(" ({})", text.error().cure);
    return complain(fmt::format("cannot read {}: {}{}", path, text.error().why, cure), exit_failed);
  }
  const auto formatted = config::format(*text);
  if (!formatted) {
    for (const config::ConfigError& error : formatted.error()) {
      fmt::print(stderr, "{}\n", to_text(Fault{path, error.line, error.column, error.message}));
    }
    return exit_configuration;
  }
  if (*formatted == *text) return exit_done;
  if (!arguments.has("--check")) return replace(path, *formatted);
  return complain(fmt::format("{} is not laid out (run 'stile fmt {}')", path, path), exit_failed);
}

}  // namespace stile::cli
