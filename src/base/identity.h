// Who a client is. Authentication is a type: the request phase takes an Identity, and only an authentication provider,
// or a listener that names "none", can make one. A failed attempt never becomes an Identity. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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
  /// By which method it was proved, for records: "none", "unix" or as AuthMethod names it.
  [[nodiscard]] std::string_view method() const noexcept { return method_; }
  /// Which state of the user's record vouched for it: it changes with the password. 0 where there is no record.
  [[nodiscard]] std::uint64_t vouched_by() const noexcept { return vouched_by_; }

 private:
  friend class auth::Authenticator;
  friend class policy::Supposition;
  Identity() = default;
  Identity(std::string user, std::vector<std::string> groups) : user_(std::move(user)), groups_(std::move(groups)) {}

  std::string user_;
  std::vector<std::string> groups_;
  std::string_view method_ = "none";  // a literal
  std::uint64_t vouched_by_ = 0;
};

/// Who a client says it is, and could not prove: for records alone. It converts to nothing.
struct ClaimedUser {
  std::string name;
};

}  // namespace stile
