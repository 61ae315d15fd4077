// A verifier's view of the private fields of Login. Only verifiers include this. One thread; tested through
// pool_verifier_test.cc.
#pragma once

#include <utility>

#include "auth/verifier.h"

namespace stile::auth {

class LoginState {
 public:
  /// Readies a login that is not pending.
  static void begin(Login& login, Verifier& verifier, std::uint64_t ticket) noexcept {
    STILE_ASSERT(!login.pending());
    login.verifier_ = &verifier;
    login.ticket_ = ticket;
    login.identity_.reset();
    login.reason_ = Reason::none;
    login.canceled_ = login.remembered_ = login.goes_on_ = false;
    login.gss_ = {};
  }
  static void set_digest(Login& login, const Digest& digest) noexcept { login.digest_ = digest; }
  /// Who looks at it, or did so last; nullptr where nobody has.
  [[nodiscard]] static Verifier* verifier(const Login& login) noexcept { return login.verifier_; }
  [[nodiscard]] static std::uint64_t ticket(const Login& login) noexcept { return login.ticket_; }

  /// Completes soon, as somebody.
  static void succeed(engine::Engine& engine, Login& login, Identity identity, bool remembered) {
    login.identity_ = std::move(identity);
    login.remembered_ = remembered;
    complete(engine, login);
  }
  /// What a GSSAPI login brings; before its completion.
  static void set_gss(Login& login, GssAnswer answer) { login.gss_ = std::move(answer); }
  /// Completes soon, as nobody yet.
  static void go_on(engine::Engine& engine, Login& login) noexcept {
    login.goes_on_ = true;
    complete(engine, login);
  }
  static void fail(engine::Engine& engine, Login& login, Reason reason) noexcept {
    login.reason_ = reason;
    complete(engine, login);
  }
  /// Completes soon as cancelled, also where an answer was on its way.
  static void cancel(engine::Engine& engine, Login& login) noexcept {
    login.canceled_ = true;
    login.identity_.reset();
    login.ticket_ = 0;
    if (!login.ready_.pending()) engine.post(login.ready_);
  }

 private:
  static void complete(engine::Engine& engine, Login& login) noexcept {
    login.ticket_ = 0;
    engine.post(login.ready_);
  }
};

}  // namespace stile::auth
