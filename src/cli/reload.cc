// stile reload
#include <fmt/format.h>

#include <string>

#include "cli/control_command.h"

namespace stile::cli {
namespace {

std::string success_text(const server::Reloaded& reloaded) {
  std::string text = fmt::format("reloaded (generation {}): {} sessions live on, {} were ended\n", reloaded.generation,
                                 reloaded.kept, reloaded.ended);
  for (const std::string& note : reloaded.notes) text += fmt::format("note: {}\n", note);
  return text;
}

}  // namespace

int run_reload(const Arguments& arguments, const Environment& environment) {
  return run_control(arguments, environment, admin::Request::reload, "cannot reload",
                     "not reloaded: the server goes on with what it had", success_text);
}

}  // namespace stile::cli
