#include "server/helper_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/gss_acceptor.h"
#include "auth/pam_login.h"
#include "protect/gss.h"

namespace stile::server {

bool admits(const config::Config& config, AuthMethod method) noexcept {
  return std::ranges::any_of(config.listeners, [&](const config::Listener& listener) {
    return config::auth_of(config, listener).admits(method);
  });
}

auth::HelperPlan plan_helper(const config::Config& config) {
  auth::HelperPlan plan{.program = config.command.program, .judge = auth::judge_by_pam};
  if (protect::has_gssapi()) {
    plan.accept = [keys = auth::GssPlan{config.gssapi.keytab, config.gssapi.service, config.gssapi.realms}](
                      int socket) { return auth::run_gss_acceptor(socket, keys); };
  }
  return plan;
}

std::optional<Shortcoming> not_built_in(const config::Config& config, AuthMethod method) {
  const bool pam = method == AuthMethod::pam;
  if ((pam ? auth::pam_built_in() : protect::has_gssapi()) || !admits(config, method)) return std::nullopt;
  return Shortcoming{.what = "cannot start",
                     .why = fmt::format("a listener's `auth` says {}, and this stile was built without {}",
                                        name(method), pam ? "PAM" : "GSSAPI"),
                     .cure = pam ? "build it with STILE_PAM" : "build it with STILE_GSSAPI"};
}

}  // namespace stile::server
