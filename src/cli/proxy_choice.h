// Which proxy a client command goes through: --via, else the first of client/plan.h's variables (protocol reference,
// section 10), with the password out of a file where one is named, and where the proxy is spoken to inside TLS the CAs
// that count and the certificate to show. NO_PROXY is for commands that have another way, as
// `stile connect` has.
// Refuses: to repeat a password in any message; to speak TLS with whoever answers. Reads files; the environment is
// passed in. Tested in proxy_choice_test.cc.
#pragma once

#include <expected>
#include <span>
#include <string>

#include "cli/options.h"
#include "cli/settings.h"
#include "route/chain.h"
#include "wire/no_proxy.h"

namespace stile::cli {

struct ProxyChoice {
  route::Hop proxy;
  std::string where;           // what named it: "--via", or a variable
  wire::NoProxy no_proxy;      // what the environment says to reach without it; nothing where --via names it
  std::string no_proxy_where;  // the variable that says so; may be empty
  std::string warning;         // for standard error; may be empty
};

/// The error is a whole message without its newline: "stile: cannot …: … (…)".
[[nodiscard]] std::expected<ProxyChoice, std::string> choose_proxy(const Arguments& arguments,
                                                                   const Environment& environment);

/// Overwrites every password of the form USER:PASSWORD@ where the process list shows it. `words` are those of main().
void conceal_passwords(std::span<char* const> words) noexcept;

}  // namespace stile::cli
