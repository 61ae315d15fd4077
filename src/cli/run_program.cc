// stile run
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/client_command.h"
#include "cli/proxy_choice.h"
#include "cli/run.h"
#include "netns/run_command.h"

extern "C" char** environ;

namespace stile::cli {
namespace {

// As shells and env(1) have them.
constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;

/// Of whatever the program would find the proxy by, and try in vain to reach it: it is outside.
constexpr std::array<std::string_view, 8> proxy_variables{"all_proxy", "http_proxy",  "https_proxy",   "ftp_proxy",
                                                          "no_proxy",  "socks_proxy", "socks5_server", "stile_via"};

bool names_a_proxy(std::string_view entry) {
  std::string name(entry.substr(0, entry.find('=')));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::ranges::find(proxy_variables, name) != proxy_variables.end();
}

std::vector<std::string> environment_inside() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!names_a_proxy(*entry)) entries.emplace_back(*entry);
  }
  return entries;
}

void tell(const std::vector<ProxyChoice>& choices, const Environment& environment) {
  fmt::print(stderr, "stile: in a private network, through {}\n", text_of(choices));
  tell_of_no_proxy(environment);
}

}  // namespace

int run_program(const Arguments& arguments, const Environment& environment) {
  auto choices = choose_proxies(arguments, environment);
  if (!choices) return complain(choices.error(), exit_usage);
  netns::RunPlan plan{.words = arguments.rest,
                      .environment = environment_inside(),
                      .upstreams = {},
                      .tells = arguments.has("--verbose")};
  warn(*choices, true);
  if (plan.tells) tell(*choices, environment);
  plan.upstreams = way_through(*std::move(choices));
  const auto ended = netns::run_command(plan);
  if (ended) return *ended;
  const netns::RunRefusal& refusal = ended.error();
  const int code = !refusal.is_command ? exit_failed : refusal.is_not_found ? exit_not_found : exit_not_executable;
  return complain(fmt::format("stile: cannot {}: {}{}", refusal.what, refusal.why,
                              refusal.cure.empty() ? "" : fmt::format(" ({})", refusal.cure)),
                  code);
}

}  // namespace stile::cli
