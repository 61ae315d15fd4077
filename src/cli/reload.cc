// stile reload
#include <fmt/core.h>

#include <cstdio>

#include "admin/control_message.h"
#include "cli/run.h"
#include "config/keys.h"
#include "sys/errno_table.h"
#include "sys/line_exchange.h"

namespace stile::cli {
namespace {

// Where the server can be asked, or why that is not known.
std::expected<std::string, BadSettings> control_socket(const Arguments& arguments, const Environment& environment) {
  const auto fault = [](int exit_code, std::string message) {
    return std::unexpected(BadSettings{exit_code, {{"", 0, 0, std::move(message)}}});
  };
  if (const auto given = arguments.value("--socket")) {
    const auto place = config::parse_listen_place(*given);
    if (place && !place->path.empty()) return place->path;
    return fault(exit_usage, fmt::format("cannot use --socket '{}': expected \"unix:\" and an absolute path", *given));
  }
  const auto settings = load_settings(arguments, environment);
  if (!settings) return std::unexpected(settings.error());
  if (!settings->config.admin.socket.empty()) return config::socket_path(settings->config.admin.socket);
  return fault(
      settings->file.empty() ? exit_usage : exit_failed,
      settings->file.empty()
          ? "cannot ask the server: it is not known where (name its file with --config, or --socket)"
          : fmt::format("cannot ask the server: {} has no [admin] socket (add one and start the server anew, or "
                        "send it SIGHUP)",
                        settings->file));
}

void print_success(const server::Reloaded& reloaded) {
  fmt::print("reloaded (generation {}): {} sessions live on, {} were ended\n", reloaded.generation, reloaded.kept,
             reloaded.ended);
  for (const std::string& note : reloaded.notes) fmt::print("note: {}\n", note);
}

}  // namespace

int run_reload(const Arguments& arguments, const Environment& environment) {
  const auto path = control_socket(arguments, environment);
  if (!path) return print(path.error());
  const auto line = sys::ask_line(*path, admin::to_line(admin::Request::reload));
  if (!line) {
    fmt::print(stderr, "stile: cannot ask the server at unix:{}: {} (is it running, and are you of its group?)\n",
               *path, sys::describe(line.error()));
    return exit_failed;
  }
  const auto answer = admin::parse_answer(*line);
  if (!answer) {
    fmt::print(stderr, "stile: cannot reload: {}\n", answer.error());
    return exit_failed;
  }
  if (arguments.has("--json")) {
    fmt::print("{}\n", admin::to_line(*answer));
  } else if (*answer) {
    print_success(**answer);
  } else {
    for (const std::string& message : answer->error().messages) fmt::print(stderr, "stile: {}\n", message);
    fmt::print(stderr, "stile: not reloaded: the server goes on with what it had\n");
  }
  if (*answer) return exit_done;
  return answer->error().bad_configuration ? exit_configuration : exit_failed;
}

}  // namespace stile::cli
