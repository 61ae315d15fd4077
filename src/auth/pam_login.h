// One login by the system's PAM modules: `auth`, then `account`, of a service. Blocks as long as the modules do, which
// are foreign code: it runs in a process of its own, for one login (helper.h). A build without PAM has it as well, and
// judges nobody (pam_login_absent.cc). Threading: one thread a process. Tested in tests/e2e/pam_test.py with real
// modules.
#pragma once

#include <string>
#include <vector>

#include "wire/helper_record.h"

namespace stile::auth {

struct PamVerdict {
  wire::HelperOutcome outcome = wire::HelperOutcome::unavailable;
  std::string user;                 // as the modules name it
  std::vector<std::string> groups;  // that the system knows of it
};

/// This build has it.
[[nodiscard]] bool pam_built_in() noexcept;

[[nodiscard]] PamVerdict judge_by_pam(const wire::HelperLogin& login);

}  // namespace stile::auth
