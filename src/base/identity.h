// Who a client is. Authentication is a type: the request phase takes an Identity, and only an authentication provider,
// or a listener that names "none", can make one. A failed attempt never becomes an Identity. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace stile {

namespace auth {
class Authenticator;  // the only maker of authenticated identities
}
namespace policy {
class Supposition;  // makes up clients for questions that nobody asked; never seen by a server
}

class Identity {
 public:
  /// For a listener that admits clients without authentication.
  [[nodiscard]] static Identity anonymous() { return Identity{}; }

  [[nodiscard]] bool is_anonymous() const noexcept { return user_.empty(); }
  /// Empty for the anonymous identity.
  [[nodiscard]] const std::string& user() const noexcept { return user_; }
  [[nodiscard]] const std::vector<std::string>& groups() const noexcept { return groups_; }

 private:
  friend class auth::Authenticator;
  friend class policy::Supposition;
  Identity() = default;
  Identity(std::string user, std::vector<std::string> groups) : user_(std::move(user)), groups_(std::move(groups)) {}

  std::string user_;
  std::vector<std::string> groups_;
};

}  // namespace stile
