// What a configuration has judged by foreign code, and by which (auth/helper.h): the same whether `stile serve` starts
// the helper or a service manager does. Pure, but for what this build was made with. Tested in tests/e2e/pam_test.py,
// command_test.py, gssapi_test.py and helper_unit_test.py.
#pragma once

#include <optional>

#include "auth/helper.h"
#include "config/config.h"
#include "server/banner.h"

namespace stile::server {

/// Some listener admits clients by the method.
[[nodiscard]] bool admits(const config::Config& config, AuthMethod method) noexcept;

/// Everything that this build can judge, whatever the listeners admit.
[[nodiscard]] auth::HelperPlan plan_helper(const config::Config& config);

/// Some listener admits clients by the method, pam or gssapi, for which this build has nothing.
[[nodiscard]] std::optional<Shortcoming> not_built_in(const config::Config& config, AuthMethod method);

}  // namespace stile::server
