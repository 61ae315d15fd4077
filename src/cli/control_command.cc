#include "cli/control_command.h"

#include <fmt/core.h>

#include <cstdio>

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

}  // namespace

std::expected<std::string, int> ask_server(const Arguments& arguments, const Environment& environment,
                                           admin::Request request) {
  const auto path = control_socket(arguments, environment);
  if (!path) return std::unexpected(print(path.error()));
  auto line = sys::ask_line(*path, admin::to_line(request));
  if (line) return *std::move(line);
  fmt::print(stderr, "stile: cannot ask the server at unix:{}: {} (is it running, and are you of its group?)\n", *path,
             sys::describe(line.error()));
  return std::unexpected(exit_failed);
}

int print_failure(std::string_view failed, std::string_view why) {
  fmt::print(stderr, "stile: {}: {}\n", failed, why);
  return exit_failed;
}

int print_refusal(const server::Refusal& refusal, std::string_view in_vain, const std::string& json) {
  if (json.empty()) {
    for (const std::string& message : refusal.messages) fmt::print(stderr, "stile: {}\n", message);
    fmt::print(stderr, "stile: {}\n", in_vain);
  } else {
    fmt::print("{}", json);
  }
  return refusal.bad_configuration ? exit_configuration : exit_failed;
}

}  // namespace stile::cli
