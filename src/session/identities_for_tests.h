// Stands in for the providers, so that tests of a pure room can have authenticated clients. For tests and fuzzing only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/identity.h"

namespace stile::auth {

class Authenticator {
 public:
  static Identity make(std::string user, std::vector<std::string> groups = {}) {
    return {std::move(user), std::move(groups)};
  }
};

}  // namespace stile::auth
