// How a client shows who it is, and what protects its stream: the provider is asked, TLS is put beneath the session.
#include "auth/authenticator.h"
#include "server/connection.h"

namespace stile::server {

void Connection::perform(const session::Authenticate& action, Next& next) {
  if (action.password == nullptr) {
    next = session::Authenticated{session_.without_credentials()};
    return;
  }
  watch_client();
  login_ = std::make_unique<LoginUnderWay>();
  login_->login.bind<&Connection::on_login>(this);
  login_->request = worker_.login_request(peer_.address, listener_, session_.auth());
  login_->request.user = action.user;
  login_->request.password = action.password;
  worker_.verifier_->verify(login_->login, login_->request);
}

void Connection::on_login(engine::Status) {
  if (ending_) return release_when_quiet();
  if (login_->login.canceled()) return;
  const auto identity = worker_.logged_in(login_->login, login_->request);
  const Reason failure = login_->login.reason() == Reason::none ? Reason::auth_failed : login_->login.reason();
  login_.reset();
  if (identity) return drive(session::Authenticated{*identity});
  drive(session::Failed{failure});
}

void Connection::perform(const session::Protect& action, Next& next) {
  auto transform = tls_->accept();
  if (transform == nullptr) {
    next = session::Failed{Reason::no_resources};
    return;
  }
  transform_ = transform.get();
  client_.protect(std::move(transform), action.received);
  secure();
}

// The TLS handshake, under the deadline that covers all of the client's conversation.
void Connection::secure() {
  const auto done = client_.establish(worker_.engine_);
  if (!done && done.error().kind == ErrorKind::would_block) {
    return client_.wait(worker_.engine_, engine::Interest::readable);
  }
  const std::string name = done ? transform_->peer_name() : std::string();
  transform_ = nullptr;
  tls_.reset();
  if (done) {
    return drive(
        session::Protected{name.empty() ? std::nullopt : std::optional(auth::Authenticator::certificate_user(name))});
  }
  if (client_.failure() == Reason::none) return drive(session::ClientFailed{});
  drive(session::Failed{client_.failure()});
}

}  // namespace stile::server
