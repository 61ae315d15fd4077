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
#include <vector>

#include "cli/options.h"
#include "cli/settings.h"
#include "route/chain.h"
#include "route/upstreams.h"
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

/// Each proxy of a command that may be given several, which lead to one another in this order. The error is a whole
/// message.
[[nodiscard]] std::expected<std::vector<ProxyChoice>, std::string> choose_proxies(const Arguments& arguments,
                                                                                  const Environment& environment);
/// The way through all of them: upstreams of one server each.
[[nodiscard]] route::UpstreamPlans way_through(std::vector<ProxyChoice> choices);
/// "socks5h://one.example:1080 > socks5h://two.example:1080"
[[nodiscard]] std::string text_of(const std::vector<ProxyChoice>& choices);
/// On standard error, of what the choice brings with it; `of_names`: names are to be carried.
void warn(const std::vector<ProxyChoice>& choices, bool of_names);
/// On standard error, of a command that has no other way: that NO_PROXY, where it is set, means nothing to it.
void tell_of_no_proxy(const Environment& environment);

/// Overwrites every password of the form USER:PASSWORD@ where the process list shows it. `words` are those of main().
void conceal_passwords(std::span<char* const> words) noexcept;

}  // namespace stile::cli
