#include "auth/authenticator.h"

#include <string>

namespace stile::auth {

Identity Authenticator::local_user(std::uint32_t uid) {
  return Identity("uid:" + std::to_string(uid), {});
}

}  // namespace stile::auth
