// What the commands that ask a running server have in common: where its control socket is, and what it answers.
// Threading: none of it matters. Tested in tests/e2e/reload_test.py and tests/e2e/upstreams_test.py.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "admin/control_message.h"
#include "cli/run.h"

namespace stile::cli {

/// The answer, as one line. The failure is an exit code; why was printed.
[[nodiscard]] std::expected<std::string, int> ask_server(const Arguments& arguments, const Environment& environment,
                                                         admin::Request request);
/// Prints "stile: failed: why", and gives the exit code.
int print_failure(std::string_view failed, std::string_view why);
/// Prints why the server refuses, as `json` where that is not empty, and gives the exit code.
int print_refusal(const server::Refusal& refusal, std::string_view in_vain, const std::string& json);

/// The whole of a command: asks, and prints what the server has done, as JSON where that is asked for, else by `show`.
/// What went wrong is printed behind `failed`, "cannot …"; `in_vain` is said at the end where the server refuses.
template <class Done>
int run_control(const Arguments& arguments, const Environment& environment, admin::Request request,
                std::string_view failed, std::string_view in_vain, std::string (*show)(const Done& done)) {
  const auto line = ask_server(arguments, environment, request);
  if (!line) return line.error();
  const auto answer = admin::parse_answer<Done>(*line);
  if (!answer) return print_failure(failed, answer.error());
  const std::string json = arguments.has("--json") ? admin::to_line(*answer) + "\n" : "";
  if (!*answer) return print_refusal(answer->error(), in_vain, json);
  return print(Answer{json.empty() ? show(**answer) : json});
}

}  // namespace stile::cli
