// A client that nobody is, for the questions of `stile explain` and of `expect` lines: what would be decided if. It
// proves nothing, so no server includes this: there, auth::Authenticator is the only maker of identities (security
// reference, P4). Pure. Tested in expect_test.cc.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/identity.h"

namespace stile::policy {

class Supposition {
 public:
  /// `user` is not empty.
  [[nodiscard]] static Identity user(std::string user, std::vector<std::string> groups = {}) {
    return Identity(std::move(user), std::move(groups));
  }
};

}  // namespace stile::policy
