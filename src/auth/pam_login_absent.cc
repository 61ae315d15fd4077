#include "auth/pam_login.h"

namespace stile::auth {

bool pam_built_in() noexcept {
  return false;
}

PamVerdict judge_by_pam(const wire::HelperLogin&) {
  return {};
}

}  // namespace stile::auth
