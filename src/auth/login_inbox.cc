#include "auth/login_inbox.h"

#include <utility>

namespace stile::auth {

void LoginInbox::put(LoginResult result) {
  const std::scoped_lock lock(mutex_);
  if (engine_ == nullptr) return;
  results_.push_back(std::move(result));
  engine_->wake();
}

std::vector<LoginResult> LoginInbox::take() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(results_, {});
}

void LoginInbox::close() noexcept {
  const std::scoped_lock lock(mutex_);
  engine_ = nullptr;
}

}  // namespace stile::auth
