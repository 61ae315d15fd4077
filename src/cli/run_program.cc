// stile run, and what carries programs that have the library loaded
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/client_command.h"
#include "cli/proxy_choice.h"
#include "cli/run.h"
#include "netns/run_command.h"
#include "preload/message.h"
#include "preload/proxy_variables.h"
#include "preload/run_command.h"
#include "sys/background.h"
#include "sys/file.h"
#include "sys/process.h"

extern "C" char** environ;

namespace stile::cli {
namespace {

// As shells and env(1) have them.
constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;

std::string_view name_of(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

/// Without whatever the programs would find a proxy by: theirs would be asked for the way to itself.
std::vector<std::string> environment_inside() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!preload::names_a_proxy(name_of(*entry))) entries.emplace_back(*entry);
  }
  return entries;
}

void tell(std::string_view how, const std::vector<ProxyChoice>& choices, const Environment& environment) {
  fmt::print(stderr, "stile: {}, through {}\n", how, text_of(choices));
  tell_of_no_proxy(environment);
}

/// The library beside this executable, or where it is installed; absent: it is missing.
std::optional<std::string> preload_library() {
#ifdef STILE_PRELOAD_FROM_EXECUTABLE
  const auto own = sys::own_executable();
  if (!own) return std::nullopt;
  const std::string folder = own->substr(0, own->rfind('/'));
  for (const std::string_view place :
       {std::string_view("/libstile-preload.so"), std::string_view(STILE_PRELOAD_FROM_EXECUTABLE)}) {
    if (std::string path = folder + std::string(place); sys::file_stamp(path)) return path;
  }
#endif
  return std::nullopt;
}

template <class Refusal>
int refuse(const Refusal& refusal) {
  const int code = !refusal.is_command ? exit_failed : refusal.is_not_found ? exit_not_found : exit_not_executable;
  return complain(fmt::format("stile: cannot {}: {}{}", refusal.what, refusal.why,
                              refusal.cure.empty() ? "" : fmt::format(" ({})", refusal.cure)),
                  code);
}

/// By the library. `instead`: the network that there is not; absent where the library was asked for.
int run_preloaded(const Arguments& arguments, route::UpstreamPlans upstreams,
                  const std::optional<netns::RunRefusal>& instead) {
  auto library = preload_library();
  if (!library && instead) return refuse(*instead);
  if (!library) return complain("stile: cannot load libstile-preload.so: it is not there (install it)", exit_failed);
  if (instead) {
    fmt::print(stderr, "stile: there is no private network: {}; libstile-preload.so carries {} instead\n", instead->why,
               arguments.rest.front());
  }
  const auto ended = preload::run_command({.words = arguments.rest,
                                           .environment = environment_inside(),
                                           .library = *std::move(library),
                                           .upstreams = std::move(upstreams),
                                           .tells = arguments.has("--verbose"),
                                           .lenient = arguments.has("--lenient")});
  return ended ? *ended : refuse(ended.error());
}

}  // namespace

int run_program(const Arguments& arguments, const Environment& environment) {
  auto choices = choose_proxies(arguments, environment);
  if (!choices) return complain(choices.error(), exit_usage);
  const bool tells = arguments.has("--verbose");
  const bool preloads = arguments.has("--preload");
  warn(*choices, true);
  if (tells) tell(preloads ? "by libstile-preload.so" : "in a private network", *choices, environment);
  const route::UpstreamPlans upstreams = way_through(*std::move(choices));
  if (preloads) return run_preloaded(arguments, upstreams, std::nullopt);
  const auto ended = netns::run_command(
      {.words = arguments.rest, .environment = environment_inside(), .upstreams = upstreams, .tells = tells});
  if (ended) return *ended;
  if (!ended.error().is_system) return refuse(ended.error());
  return run_preloaded(arguments, upstreams, ended.error());
}

int run_preload_carrier(const Arguments& arguments, const Environment& environment) {
  sys::close_inherited();
  const auto text = environment(preload::keys_variable);
  const auto keys = text ? preload::parse_keys(*text) : std::nullopt;
  if (!keys) return complain("stile: cannot carry programs: STILE_PRELOAD holds no keys", exit_usage);
  auto choices = choose_proxies(arguments, environment);
  if (!choices) return complain(choices.error(), exit_usage);
  warn(*choices, true);
  const auto ended = preload::carry_programs(*keys, way_through(*std::move(choices)));
  return ended ? *ended : refuse(ended.error());
}

}  // namespace stile::cli
