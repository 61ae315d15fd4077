#include "cli/client_command.h"

#include <fmt/core.h>

#include <cstdio>

#include "policy/words.h"

namespace stile::cli {

int complain(const std::string& message, int exit_code) {
  fmt::print(stderr, "{}\n", message);
  return exit_code;
}

std::string with_cure(const session::Advice& advice) {
  return advice.cure.empty() ? advice.why : fmt::format("{} ({})", advice.why, advice.cure);
}

std::expected<Host, std::string> host_operand(const Arguments& arguments) {
  auto host = canonical_host(arguments.operand);
  if (host) return *std::move(host);
  return std::unexpected(
      fmt::format("stile: cannot use HOST {}: no host may be called so: {} (write a name in its ASCII form, or an "
                  "address)",
                  policy::quoted(arguments.operand), name(host.error().rejection)));
}

}  // namespace stile::cli
