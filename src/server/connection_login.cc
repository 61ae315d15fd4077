// How a client shows who it is, and what protects its stream: the provider is asked, TLS or GSSAPI is put beneath the
// session.
#include <utility>

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
  login_->request = worker_.login_request(peer_.address, listener_, *session_.auth().password_judge());
  login_->request.user = action.user;
  login_->request.password = action.password;
  worker_.verifier_->verify(login_->login, login_->request);
}

void Connection::on_login(engine::Status) {
  if (ending_) return release_when_quiet();
  if (login_->login.canceled()) return;
  const auto identity = worker_.logged_in(login_->login, login_->request);
  if (gss_ != nullptr) return on_token_judged(identity);
  const Reason failure = login_->login.reason() == Reason::none ? Reason::auth_failed : login_->login.reason();
  login_.reset();
  if (identity) return drive(session::Authenticated{*identity});
  drive(session::Failed{failure});
}

// ── what protects the stream ────────────────────────────────────────────────────────────────────────────────────────

void Connection::perform(const session::Protect& action, Next& next) {
  std::unique_ptr<protect::Transform> transform;
  if (action.by == session::Protect::By::gssapi) {
    auto acceptance = std::make_unique<protect::GssAcceptance>(common_->gssapi);
    gss_ = acceptance.get();
    transform = std::move(acceptance);
  } else {
    auto inside_tls = tls_->accept();
    tls_transform_ = inside_tls.get();
    transform = std::move(inside_tls);
  }
  if (transform == nullptr) {
    next = session::Failed{Reason::no_resources};
    return;
  }
  securing_ = true;
  client_.protect(std::move(transform), action.received);
  secure();
}

// The handshake, under the deadline that covers all of the client's conversation.
void Connection::secure() {
  const auto done = client_.establish(worker_.engine_);
  if (!done && done.error().kind == ErrorKind::would_block) {
    if (gss_ != nullptr && gss_->waits()) return ask_about_token();
    return client_.wait(worker_.engine_, engine::Interest::readable);
  }
  securing_ = false;
  tls_.reset();
  if (done) return gss_ != nullptr ? encapsulated() : inside_tls();
  if (client_.failure() == Reason::none) return drive(session::ClientFailed{});
  drive(session::Failed{client_.failure()});
}

void Connection::inside_tls() {
  const std::string& name = std::exchange(tls_transform_, nullptr)->peer_name();
  drive(session::Protected{name.empty() ? std::nullopt : std::optional(auth::Authenticator::certificate_user(name))});
}

// ── GSSAPI ──────────────────────────────────────────────────────────────────────────────────────────────────────────

void Connection::ask_about_token() {
  watch_client();  // its RST is noticed; what it sends waits
  if (login_ != nullptr) return;
  login_ = std::make_unique<LoginUnderWay>();
  login_->login.bind<&Connection::on_login>(this);
  login_->request = worker_.login_request(peer_.address, listener_, AuthMethod::gssapi);
  login_->request.token = gss_->token();
  login_->request.conversation = id_;
  worker_.verifier_->verify(login_->login, login_->request);
}

void Connection::on_token_judged(const std::optional<Identity>& identity) {
  const auth::GssAnswer& answer = login_->login.gss();
  if (login_->login.goes_on()) {
    gss_->advance(answer.token);
  } else if (identity) {
    by_ticket_ = identity;
    const std::string_view context = answer.context.reveal();
    gss_->complete(answer.token, protect::GssContext::import(
                                     {reinterpret_cast<const std::uint8_t*>(context.data()), context.size()}));
  } else {
    const Reason reason = login_->login.reason();
    gss_->refuse(reason == Reason::none ? Reason::gss_accept : reason);
  }
  login_.reset();
  secure();
}

// At level 0 the stream is plain again, and only the answer to the level may still have to be sent.
void Connection::encapsulated() {
  const std::optional<Identity> who = std::exchange(by_ticket_, std::nullopt);
  if (!gss_->is_clear()) return drive(session::Protected{who});
  const auto past = client_.unprotect();
  const ConstBytes unsent = past->to_send();
  out_.assign(unsent.begin(), unsent.end());
  const ConstBytes behind = std::exchange(gss_, nullptr)->received_behind();
  drive(session::Protected{who, behind});
}

}  // namespace stile::server
