// Who a client with a password or a Kerberos ticket is, asynchronously. Behind this face stand the users file with its
// hashing threads (pool_verifier.h), the helper process with PAM and the operator's program (helper_verifier.h), and
// for the simulation a table that answers after so long (table_verifier.h). Threading: one verifier a worker, used on
// its engine's thread only. Refuses: to say why a login failed, beyond whether it was looked at. Tested in
// pool_verifier_test.cc and in tests/sim.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "auth/digest.h"
#include "auth/login_inbox.h"
#include "auth/users.h"
#include "base/address.h"
#include "base/auth_methods.h"
#include "base/identity.h"
#include "base/reason.h"
#include "base/secret.h"
#include "engine/engine.h"

namespace stile::auth {

/// A login that succeeded before on the same connection.
struct KnownLogin {
  Digest digest;
  Identity who;
};

/// What is to be found out. The user and password can be asked about (wire::can_be_asked); a token is not empty.
struct LoginRequest {
  AuthMethod method = AuthMethod::password;  // who judges
  std::shared_ptr<const Users> users;        // those in force, for AuthMethod::password
  std::string_view service;                  // for AuthMethod::pam
  std::string_view user;
  const Secret* password = nullptr;
  ConstBytes token;                   // of AuthMethod::gssapi, in the place of user and password
  std::uint64_t conversation = 0;     // likewise: all tokens of one client have the same
  Address client;                     // its own address
  std::string_view listener;          // where it came
  Address source;                     // what it counts for (auth::source_of)
  bool shared_source = false;         // all its users have that address: they take turns by name
  Duration remembered{};              // how long a success counts; zero: for this login alone
  const KnownLogin* known = nullptr;  // the same one again need not be judged
};

class Verifier;

/// One login, owned by the asker, which must stay in place until its completion. Bind it like an Operation.
class Login {
 public:
  Login() noexcept = default;
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;
  ~Login() { STILE_ASSERT(!pending()); }

  /// `login.bind<&Connection::on_login>(this)`, with `void on_login(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    ready_.bind<Method>(owner);
  }
  [[nodiscard]] bool pending() const noexcept { return ticket_ != 0 || ready_.pending(); }
  // Valid from its completion until the next request.
  /// Who it is; absent where the login failed.
  [[nodiscard]] const std::optional<Identity>& identity() const noexcept { return identity_; }
  /// A GSSAPI login that neither failed nor named anybody yet: its client has to go on.
  [[nodiscard]] bool goes_on() const noexcept { return goes_on_; }
  /// Of GSSAPI: what the client is sent, and once somebody is named the context.
  [[nodiscard]] const GssAnswer& gss() const noexcept { return gss_; }
  /// auth_failed (of GSSAPI gss_accept), auth_busy, auth_unavailable or auth_crashed where it failed.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  /// True in the completion of a login that was cancelled.
  [[nodiscard]] bool canceled() const noexcept { return canceled_; }
  /// It was answered from what was known.
  [[nodiscard]] bool remembered() const noexcept { return remembered_; }
  /// Of user, password and record; for LoginRequest::known.
  [[nodiscard]] const Digest& digest() const noexcept { return digest_; }

 private:
  friend class LoginState;  // verifiers reach the fields through it

  engine::Operation ready_;
  Verifier* verifier_ = nullptr;  // whose ticket it is
  std::uint64_t ticket_ = 0;      // the verifier's own; 0: not under way
  std::optional<Identity> identity_;
  Digest digest_{};
  GssAnswer gss_;
  Reason reason_ = Reason::none;
  bool canceled_ = false;
  bool remembered_ = false;
  bool goes_on_ = false;
};

class Verifier {
 public:
  virtual ~Verifier() = default;
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  /// Exactly one completion of the login follows, never inline. The request is not needed any longer then.
  virtual void verify(Login& login, const LoginRequest& request) = 0;
  /// The login completes soon with canceled(). A no-op when nothing is pending.
  virtual void cancel(Login& login) noexcept = 0;
  /// The engine was woken (Engine::on_wake): something may have come for it.
  virtual void collect() = 0;

 protected:
  Verifier() noexcept = default;
};

}  // namespace stile::auth
